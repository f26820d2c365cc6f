// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RunRegistry} from "../src/RunRegistry.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./Fixture.sol";

contract SettlementTest is Fixture {
    function _endorsed(Settlement.Posting memory posting, uint256 signers)
        private
        returns (Settlement.Endorsement memory)
    {
        return endorse(settlement.postingDigest(posting), signers);
    }

    function _posting(uint128 total) private view returns (Settlement.Posting memory) {
        return postingOf(runId, keccak256("credit"), total);
    }

    function test_aSettlementIsPendingThenFinal() public {
        post(runId, keccak256("a"), 7);
        (bytes32 root, uint128 total, uint64 sequence) = settlement.settled(runId);
        assert(root == 0 && total == 0 && sequence == 0);
        Settlement.Root memory waiting = settlement.pending(runId);
        assert(waiting.total == 7 && waiting.finalAt == block.timestamp + WINDOW);
        vm.warp(block.timestamp + WINDOW);
        (root, total, sequence) = settlement.settled(runId);
        assert(root == keccak256("a") && total == 7 && sequence == 1);
        assert(settlement.pending(runId).creditRoot == 0);
    }

    function test_theNextOneLeavesTheLastFinalUntilItsTimeIsOver() public {
        post(runId, keccak256("a"), 7);
        vm.warp(block.timestamp + WINDOW);
        post(runId, keccak256("b"), 9);
        (bytes32 root, uint128 total,) = settlement.settled(runId);
        assert(root == keccak256("a") && total == 7);
        vm.warp(block.timestamp + WINDOW);
        (root, total,) = settlement.settled(runId);
        assert(root == keccak256("b") && total == 9);
    }

    function test_refused_whileTheWindowIsOpen() public {
        post(runId, keccak256("a"), 7);
        Settlement.Posting memory posting = _posting(8);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        vm.expectPartialRevert(Settlement.WindowOpen.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_tooFewSignatures() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 2);
        vm.expectRevert(abi.encodeWithSelector(Settlement.TooFewSignatures.selector, 3, 2));
        settlement.post(posting, endorsement);
    }

    function test_refused_oneAttestorTwice() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        endorsement.signatures[2] = endorsement.signatures[1];
        vm.expectRevert(Settlement.UnorderedSignatures.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_anIndexBeyondTheList() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        endorsement.signatures[2].index = 5;
        vm.expectRevert(Settlement.UnorderedSignatures.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_aForgedSignature() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        endorsement.signatures[1] = attest(settlement.postingDigest(posting), 1, 4711);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        settlement.post(posting, endorsement);
        endorsement.signatures[1] = Settlement.Attestation(1, 0, 0);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        settlement.post(posting, endorsement);
    }

    function testFuzz_refused_aChangedPosting(uint256 field, bytes32 noise) public {
        Settlement.Posting memory posting = _posting(1_000);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        field %= 5;
        if (field == 0) posting.roundsRoot ^= noise;
        if (field == 1) posting.creditRoot ^= noise;
        // forge-lint: disable-next-line(unsafe-typecast)
        if (field == 2) posting.total ^= uint128(uint256(noise) % 1_000_000);
        if (field == 3) posting.modelRoot ^= noise;
        if (field == 4) posting.evidence ^= noise;
        vm.assume(keccak256(abi.encode(posting)) != keccak256(abi.encode(_posting(1_000))));
        vm.assume(posting.creditRoot != 0);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_otherAttestorsThanTheRuns() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        endorsement.threshold = 1;
        vm.expectRevert(Settlement.UnknownAttestors.selector);
        settlement.post(posting, endorsement);
        endorsement.threshold = 3;
        endorsement.attestors[0] = address(1);
        vm.expectRevert(Settlement.UnknownAttestors.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_fallingTotals() public {
        post(runId, keccak256("a"), 7);
        vm.warp(block.timestamp + WINDOW);
        Settlement.Posting memory posting = _posting(6);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        vm.expectRevert(abi.encodeWithSelector(Settlement.FallingTotal.selector, 7, 6));
        settlement.post(posting, endorsement);
    }

    function test_refused_overBudget() public {
        Settlement.Posting memory posting = _posting(BUDGET + 1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        vm.expectRevert(
            abi.encodeWithSelector(Settlement.OverBudget.selector, BUDGET, BUDGET + 1)
        );
        settlement.post(posting, endorsement);
        post(runId, keccak256("all"), BUDGET);
    }

    function test_refused_replay() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        settlement.post(posting, endorsement);
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(Settlement.WrongSequence.selector, 2, 1));
        settlement.post(posting, endorsement);
    }

    function test_refused_onAnotherRun() public {
        uint64 other = newRun(dollar);
        fundRun(other, dollar, BUDGET);
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        posting.runId = other;
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_onAnotherChain() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        vm.chainId(424242);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_onAnotherDeployment() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        RunRegistry second = new RunRegistry();
        vm.prank(owner);
        second.createRun(configOf(dollar));
        dollar.mint(address(this), 10);
        dollar.approve(address(second), 10);
        second.fund(1, 10);
        Settlement elsewhere = second.settlement();
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        elsewhere.post(posting, endorsement);
    }

    function test_refused_anEmptyRoot() public {
        Settlement.Posting memory posting = postingOf(runId, 0, 0);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        vm.expectRevert(Settlement.EmptyRoot.selector);
        settlement.post(posting, endorsement);
    }

    function test_refused_whilePausedAndAfterTheEnd() public {
        Settlement.Posting memory posting = _posting(1);
        Settlement.Endorsement memory endorsement = _endorsed(posting, 3);
        vm.prank(owner);
        registry.setPaused(runId, true);
        vm.expectPartialRevert(Settlement.RunClosed.selector);
        settlement.post(posting, endorsement);
        vm.prank(owner);
        registry.finish(runId, 0);
        vm.warp(block.timestamp + 2 * WINDOW + 1);
        vm.expectPartialRevert(Settlement.RunClosed.selector);
        settlement.post(posting, endorsement);
    }

    function test_aRevokedOnePaysNobodyAndItsSignaturesAreUsedUp() public {
        post(runId, keccak256("a"), 7);
        vm.warp(block.timestamp + WINDOW);
        Settlement.Posting memory wrong = _posting(500);
        Settlement.Endorsement memory endorsement = _endorsed(wrong, 3);
        settlement.post(wrong, endorsement);
        settlement.revoke(runId, endorse(settlement.revocationDigest(runId, 2), 3));
        vm.warp(block.timestamp + 9 * WINDOW);
        (bytes32 root, uint128 total,) = settlement.settled(runId);
        assert(root == keccak256("a") && total == 7);
        vm.expectRevert(abi.encodeWithSelector(Settlement.WrongSequence.selector, 3, 2));
        settlement.post(wrong, endorsement);
        post(runId, keccak256("b"), 8);
        vm.warp(block.timestamp + WINDOW);
        (root, total,) = settlement.settled(runId);
        assert(root == keccak256("b") && total == 8);
    }

    function test_refused_revokingWhatIsFinalOrWithoutSignatures() public {
        Settlement.Endorsement memory endorsement =
            endorse(settlement.revocationDigest(runId, 1), 3);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NothingPending.selector, runId));
        settlement.revoke(runId, endorsement);
        post(runId, keccak256("a"), 7);
        Settlement.Endorsement memory few = endorse(settlement.revocationDigest(runId, 1), 2);
        vm.expectPartialRevert(Settlement.TooFewSignatures.selector);
        settlement.revoke(runId, few);
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(Settlement.NothingPending.selector, runId));
        settlement.revoke(runId, endorsement);
    }

    function test_newAttestorsCountAfterAWindow() public {
        address[] memory one = new address[](1);
        one[0] = vm.addr(99);
        bytes32 to = keccak256(abi.encode(uint32(1), one));
        Settlement.Endorsement memory consent = endorse(settlement.rotationDigest(runId, to, 0), 3);
        vm.prank(owner);
        registry.setAttestors(runId, one, 1, consent);
        post(runId, keccak256("a"), 7);
        vm.warp(block.timestamp + WINDOW);
        Settlement.Posting memory posting = _posting(8);
        Settlement.Endorsement memory old = _endorsed(posting, 3);
        vm.expectRevert(Settlement.UnknownAttestors.selector);
        settlement.post(posting, old);
        Settlement.Endorsement memory fresh;
        fresh.threshold = 1;
        fresh.attestors = one;
        fresh.signatures = new Settlement.Attestation[](1);
        fresh.signatures[0] = attest(settlement.postingDigest(posting), 0, 99);
        settlement.post(posting, fresh);
    }
}
