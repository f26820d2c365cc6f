// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RevenueVault} from "../src/RevenueVault.sol";
import {ModelShares} from "../src/ModelShares.sol";
import {Rewards} from "../src/Rewards.sol";
import {RunRegistry} from "../src/RunRegistry.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./Fixture.sol";
import {CallingToken, HeavyToken, Reentry, RefusingToken, TestDollar} from "./Tokens.sol";

/// Spends all gas that it is given.
contract Burner is Reentry {
    uint256 private _wheel;

    function again() external {
        while (true) _wheel++;
    }
}

/// What a thief or a spoiler would try, each as a story that must end well.
contract AttacksTest is Fixture {
    /// An owner ends the run and forbids the last settlement, to get back what workers have earned.
    function test_anOwnerCannotPauseTheEndAway() public {
        vm.startPrank(owner);
        registry.finish(runId, 0);
        vm.expectRevert(abi.encodeWithSelector(RunRegistry.AlreadyFinished.selector, runId));
        registry.setPaused(runId, true);
        vm.stopPrank();
        post(runId, rootOf(runId, people(1, 5e6)), 5e6);
    }

    /// An owner ends the run right after a posting, so that its window would cover all that is left.
    function test_aSettlementAtTheEndLeavesAWindowForTheLastOne() public {
        post(runId, rootOf(runId, people(1, 5e6)), 5e6);
        vm.prank(owner);
        registry.finish(runId, 0);
        uint256 end = vm.getBlockTimestamp();
        vm.warp(end + 2 * WINDOW);
        post(runId, rootOf(runId, people(1, 9e6)), 9e6);
        vm.prank(owner);
        vm.expectPartialRevert(RunRegistry.TooEarly.selector);
        registry.reclaimUnspent(runId);
        vm.warp(end + 3 * WINDOW);
        rewards.claim(runId, claimOf(runId, people(1, 9e6), 0));
        vm.prank(owner);
        vm.expectPartialRevert(RunRegistry.TooEarly.selector);
        registry.reclaimUnspent(runId);
        vm.warp(end + 3 * WINDOW + 1);
        vm.prank(owner);
        registry.reclaimUnspent(runId);
        assert(dollar.balanceOf(owner) == BUDGET - 9e6);
    }

    /// An owner makes itself the attestor, to sign away what is final and not claimed yet.
    function test_anOwnerCannotMakeItselfTheAttestor() public {
        settle(runId, people(3, 10e6));
        address[] memory own = new address[](1);
        own[0] = vm.addr(99);
        Settlement.Endorsement memory none;
        none.threshold = THRESHOLD;
        none.attestors = attestors;
        vm.prank(owner);
        vm.expectPartialRevert(Settlement.TooFewSignatures.selector);
        registry.setAttestors(runId, own, 1, none);
        none.threshold = 0;
        vm.prank(owner);
        vm.expectRevert(Settlement.UnknownAttestors.selector);
        registry.setAttestors(runId, own, 1, none);
    }

    /// A token that calls its receiver: one of them spends all gas of a batch.
    function test_oneReceiverCannotSpendABatchsGas() public {
        CallingToken token = new CallingToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1e12);
        Burner burner = new Burner();
        Account[] memory accounts = people(50, 1e6);
        accounts[20].account = address(burner);
        settle(run, accounts);
        Rewards.Claim[] memory claims = new Rewards.Claim[](50);
        for (uint256 i = 0; i < 50; i++) claims[i] = claimOf(run, accounts, i);
        token.callBack(address(burner));
        rewards.claimMany{gas: 10_000_000}(run, claims);
        for (uint256 i = 0; i < 50; i++) {
            if (i != 20) assert(token.balanceOf(accounts[i].account) == accounts[i].cumulative);
        }
        assert(rewards.claimed(run, address(burner)) == 0);
        token.callBack(address(0));
        rewards.claim(run, claims[20]);
    }

    /// Too little gas, on purpose or by a wallet's estimate (the least with which the call does not
    /// fail): all of the batch is paid, or the call fails. Nobody is passed over.
    function testFuzz_tooLittleGasPassesNobodyOver(uint256 gas) public {
        HeavyToken token = new HeavyToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1e12);
        gas = 30_000 + gas % 1_200_000;
        Account[] memory accounts = people(4, 1e6);
        settle(run, accounts);
        Rewards.Claim[] memory claims = new Rewards.Claim[](4);
        for (uint256 i = 0; i < 4; i++) claims[i] = claimOf(run, accounts, i);
        bool isDone = false;
        try rewards.claimMany{gas: gas}(run, claims) {
            isDone = true;
        } catch {}
        for (uint256 i = 0; i < 4; i++) {
            uint256 got = token.balanceOf(accounts[i].account);
            assert(got == (isDone ? accounts[i].cumulative : 0));
            assert(got == rewards.claimed(run, accounts[i].account));
        }
        assert(registry.getRun(run).paid == rewards.claimedTotal(run));
    }

    /// The same where a wallet's search ends: the least gas that does not fail pays everybody.
    function test_theLeastGasThatSucceedsPaysEverybody() public {
        HeavyToken token = new HeavyToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1e12);
        Account[] memory accounts = people(1, 1e6);
        settle(run, accounts);
        Rewards.Claim[] memory claims = new Rewards.Claim[](1);
        claims[0] = claimOf(run, accounts, 0);
        for (uint256 gas = 180_000; gas < 700_000; gas += 500) {
            try rewards.claimMany{gas: gas}(run, claims) {
                break;
            } catch {}
        }
        assert(token.balanceOf(accounts[0].account) == accounts[0].cumulative);
    }

    /// A black list: the account is not lost, its owner names another receiver.
    function test_whoIsRefusedByTheTokenNamesAnotherReceiver() public {
        RefusingToken token = new RefusingToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1e12);
        Account[] memory accounts = people(2, 1e6);
        settle(run, accounts);
        token.refuse(accounts[0].account);
        vm.expectPartialRevert(Rewards.ClaimFailed.selector);
        rewards.claim(run, claimOf(run, accounts, 0));
        vm.prank(accounts[0].account);
        rewards.setRecipient(address(0xBEEF));
        rewards.claim(run, claimOf(run, accounts, 0));
        assert(token.balanceOf(address(0xBEEF)) == 1e6);
    }

    /// Attestors vanish: what is final is paid, what is left goes back, nothing stays behind.
    function test_withoutAttestorsNothingIsLockedForEver() public {
        settle(runId, people(2, 10e6));
        vm.startPrank(owner);
        registry.setPaused(runId, true);
        registry.finish(runId, 0);
        vm.warp(block.timestamp + 3 * WINDOW + 1);
        registry.reclaimUnspent(runId);
        vm.stopPrank();
        for (uint256 i = 0; i < 2; i++) rewards.claim(runId, claimOf(runId, people(2, 10e6), i));
        assert(dollar.balanceOf(address(registry)) == 0);
    }

    /// A signature is one string of bytes: s and v turned round are no second one.
    function test_refused_aMalleableSignature() public {
        Settlement.Posting memory posting = postingOf(runId, keccak256("a"), 1);
        Settlement.Endorsement memory endorsement =
            endorse(settlement.postingDigest(posting), THRESHOLD);
        bytes32 vs = endorsement.signatures[1].vs;
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        uint256 s = uint256(vs) & (type(uint256).max >> 1);
        endorsement.signatures[1].vs = bytes32(n - s);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        settlement.post(posting, endorsement);
    }

    /// A posting's signatures are no revocation, and no consent to other attestors.
    function test_signaturesAreForOneThing() public {
        Settlement.Posting memory posting = postingOf(runId, keccak256("a"), 1);
        Settlement.Endorsement memory endorsement =
            endorse(settlement.postingDigest(posting), THRESHOLD);
        settlement.post(posting, endorsement);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        settlement.revoke(runId, endorsement);
        vm.prank(owner);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        registry.setAttestors(runId, attestors, 1, endorsement);
    }

    /// Consent to other attestors counts once: not after they have changed again.
    function test_consentCountsOnce() public {
        address[] memory other = new address[](1);
        other[0] = vm.addr(keys[0]);
        bytes32 to = keccak256(abi.encode(uint32(1), other));
        Settlement.Endorsement memory consent =
            endorse(settlement.rotationDigest(runId, to, 0), THRESHOLD);
        vm.prank(owner);
        registry.setAttestors(runId, other, 1, consent);
        vm.warp(block.timestamp + WINDOW);
        bytes32 back = keccak256(abi.encode(THRESHOLD, attestors));
        uint64 since = registry.getRun(runId).nextAttestorsFrom;
        Settlement.Endorsement memory again;
        again.threshold = 1;
        again.attestors = other;
        again.signatures = new Settlement.Attestation[](1);
        again.signatures[0] = attest(settlement.rotationDigest(runId, back, since), 0, keys[0]);
        vm.prank(owner);
        registry.setAttestors(runId, attestors, THRESHOLD, again);
        vm.warp(block.timestamp + WINDOW);
        post(runId, keccak256("a"), 7);
        vm.prank(owner);
        vm.expectPartialRevert(Settlement.WrongSigner.selector);
        registry.setAttestors(runId, other, 1, consent);
    }

    /// Small deposits in a vault of many shares.
    function test_smallDepositsAreNotRoundedAway() public {
        TestDollar credit = new TestDollar();
        uint64 run = newRun(credit);
        fundRun(run, credit, 1e26);
        Account[] memory accounts = people(1, 1e26);
        settle(run, accounts);
        vm.prank(owner);
        registry.finish(run, 0);
        vm.warp(block.timestamp + 3 * WINDOW + 1);
        ModelShares shares = new ModelShares(registry, run, address(dollar), "m", "M");
        RevenueVault vault = shares.vault();
        shares.mint(accounts[0].account, 1e26, claimOf(run, accounts, 0).proof);
        dollar.mint(address(this), 100e6);
        dollar.approve(address(vault), 100e6);
        for (uint256 i = 0; i < 100; i++) vault.deposit(1e6);
        assert(vault.dueTo(accounts[0].account) >= 100e6 - 1);
    }
}
