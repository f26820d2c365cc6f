// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rewards} from "../src/Rewards.sol";
import {Fixture} from "./Fixture.sol";
import {CallingToken, FalseToken, Reentry, RefusingToken} from "./Tokens.sol";

contract Greedy is Reentry {
    Rewards private immutable rewards;
    uint64 private runId;
    Rewards.Claim private wanted;
    bool public wasCalled;
    bool public gotMore;

    constructor(Rewards rewards_) {
        rewards = rewards_;
    }

    function wants(uint64 runId_, Rewards.Claim calldata wanted_) external {
        runId = runId_;
        wanted = wanted_;
    }

    function again() external {
        wasCalled = true;
        try rewards.claim(runId, wanted) {
            gotMore = true;
        } catch {}
    }
}

contract RewardsTest is Fixture {
    function _refused(Rewards.Claim memory wanted, Rewards.Problem problem) private {
        vm.expectRevert(abi.encodeWithSelector(Rewards.ClaimFailed.selector, problem));
        rewards.claim(runId, wanted);
    }

    function test_anybodyClaimsForAnybody() public {
        settle(runId, people(5, 1e6));
        vm.prank(address(0xBEEF));
        rewards.claim(runId, claimOf(runId, people(5, 1e6), 4));
        assert(dollar.balanceOf(person(4)) == 5e6);
        assert(rewards.claimed(runId, person(4)) == 5e6);
    }

    function test_refused_aDoubleClaim() public {
        settle(runId, people(2, 1e6));
        rewards.claim(runId, claimOf(runId, people(2, 1e6), 0));
        _refused(claimOf(runId, people(2, 1e6), 0), Rewards.Problem.NothingDue);
    }

    function test_laterCreditsPayTheDifference() public {
        settle(runId, people(2, 1e6));
        rewards.claim(runId, claimOf(runId, people(2, 1e6), 1));
        settle(runId, people(2, 3e6));
        rewards.claim(runId, claimOf(runId, people(2, 3e6), 1));
        assert(dollar.balanceOf(person(1)) == 6e6);
    }

    function test_refused_inTheChallengeWindow() public {
        post(runId, rootOf(runId, people(2, 1e6)), 3e6);
        _refused(claimOf(runId, people(2, 1e6), 0), Rewards.Problem.WrongProof);
        vm.warp(block.timestamp + WINDOW - 1);
        _refused(claimOf(runId, people(2, 1e6), 0), Rewards.Problem.WrongProof);
        vm.warp(block.timestamp + 1);
        rewards.claim(runId, claimOf(runId, people(2, 1e6), 0));
    }

    function test_refused_wrongProofs() public {
        Account[] memory accounts = people(4, 1e6);
        settle(runId, accounts);
        Rewards.Claim memory wanted = claimOf(runId, accounts, 0);
        wanted.cumulative += 1;
        _refused(wanted, Rewards.Problem.WrongProof);
        wanted = claimOf(runId, accounts, 0);
        wanted.account = person(9);
        _refused(wanted, Rewards.Problem.WrongProof);
        wanted = claimOf(runId, accounts, 0);
        wanted.proof[0] ^= bytes32(uint256(1));
        _refused(wanted, Rewards.Problem.WrongProof);
        wanted.proof = new bytes32[](0);
        _refused(wanted, Rewards.Problem.WrongProof);
    }

    function test_refused_aLeafOfAnotherRun() public {
        uint64 other = newRun(dollar);
        fundRun(other, dollar, BUDGET);
        Account[] memory accounts = people(2, 1e6);
        settle(runId, accounts);
        vm.expectRevert(
            abi.encodeWithSelector(Rewards.ClaimFailed.selector, Rewards.Problem.WrongProof)
        );
        rewards.claim(other, claimOf(runId, accounts, 0));
    }

    /// A root may hold more than its total says. Nobody gets more than the total together.
    function test_refused_moreThanTheTotal() public {
        Account[] memory accounts = people(3, 1e6);
        post(runId, rootOf(runId, accounts), 3e6);
        vm.warp(block.timestamp + WINDOW);
        rewards.claim(runId, claimOf(runId, accounts, 1));
        _refused(claimOf(runId, accounts, 2), Rewards.Problem.OverTotal);
        rewards.claim(runId, claimOf(runId, accounts, 0));
    }

    function test_aBatchPaysWhomItCan() public {
        RefusingToken token = new RefusingToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1e12);
        Account[] memory accounts = people(4, 1e6);
        settle(run, accounts);
        token.refuse(person(1));
        Rewards.Claim[] memory wanted = new Rewards.Claim[](5);
        for (uint256 i = 0; i < 4; i++) wanted[i] = claimOf(run, accounts, i);
        wanted[4] = wanted[0];
        rewards.claimMany(run, wanted);
        assert(token.balanceOf(person(0)) == 1e6 && token.balanceOf(person(1)) == 0);
        assert(token.balanceOf(person(2)) == 3e6 && token.balanceOf(person(3)) == 4e6);
        assert(rewards.claimed(run, person(1)) == 0 && rewards.claimedTotal(run) == 8e6);
        // It stays due, and another address takes it.
        vm.prank(person(1));
        rewards.setRecipient(address(0xC01D));
        rewards.claimMany(run, wanted);
        assert(token.balanceOf(address(0xC01D)) == 2e6);
    }

    function test_aTokenThatSaysFalse() public {
        FalseToken token = new FalseToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1e12);
        settle(run, people(1, 1e6));
        token.breakDown();
        vm.expectRevert(
            abi.encodeWithSelector(Rewards.ClaimFailed.selector, Rewards.Problem.TransferFailed)
        );
        rewards.claim(run, claimOf(run, people(1, 1e6), 0));
        assert(rewards.claimed(run, person(0)) == 0 && registry.getRun(run).paid == 0);
    }

    function test_aReceiverThatCallsAgainGetsNothingMore() public {
        CallingToken token = new CallingToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1e12);
        Greedy greedy = new Greedy(rewards);
        Account[] memory accounts = people(2, 5e6);
        accounts[0].account = address(greedy);
        settle(run, accounts);
        token.callBack(address(greedy));
        Rewards.Claim memory wanted = claimOf(run, accounts, 0);
        greedy.wants(run, claimOf(run, accounts, 1));
        rewards.claim(run, wanted);
        assert(greedy.wasCalled() && !greedy.gotMore());
        assert(token.balanceOf(address(greedy)) == 5e6 && registry.getRun(run).paid == 5e6);
    }

    function test_aReceiverBySignature() public {
        uint256 key = 5150;
        address account = vm.addr(key);
        uint64 deadline = uint64(block.timestamp);
        bytes memory signature = _recipientSignature(key, account, address(0xCAFE), deadline);
        rewards.setRecipientBySignature(account, address(0xCAFE), deadline, signature);
        assert(rewards.recipientOf(account) == address(0xCAFE));
        vm.expectRevert(Rewards.BadSignature.selector);
        rewards.setRecipientBySignature(account, address(0xCAFE), deadline, signature);
        vm.warp(block.timestamp + 1);
        vm.expectPartialRevert(Rewards.Expired.selector);
        rewards.setRecipientBySignature(account, address(0xCAFE), deadline, signature);
        vm.prank(account);
        rewards.setRecipient(address(0));
        assert(rewards.recipientOf(account) == account);
    }

    function test_refused_aReceiverBySomebodyElsesSignature() public {
        uint64 deadline = uint64(block.timestamp);
        address account = vm.addr(5150);
        bytes memory signature = _recipientSignature(4711, account, address(0xCAFE), deadline);
        vm.expectRevert(Rewards.BadSignature.selector);
        rewards.setRecipientBySignature(account, address(0xCAFE), deadline, signature);
    }

    function _recipientSignature(uint256 key, address account, address to, uint64 deadline)
        private
        returns (bytes memory)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Manyhands Rewards"),
                keccak256("1"),
                block.chainid,
                address(rewards)
            )
        );
        bytes32 content = keccak256(
            abi.encode(
                rewards.RECIPIENT_TYPEHASH(), account, to, rewards.nonces(account), deadline
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked("\x19\x01", domain, content)));
        return abi.encodePacked(r, s, v);
    }

    function testFuzz_everyAccountOfATreeIsPaidToTheLastUnit(uint256 count, uint128 unit) public {
        count = count % 33 + 1;
        unit = unit % 1_000e6 + 1;
        Account[] memory accounts = people(count, unit);
        settle(runId, accounts);
        for (uint256 i = 0; i < count; i++) {
            Rewards.Claim memory wanted = claimOf(runId, accounts, i);
            assert(rewards.claimable(runId, wanted) == accounts[i].cumulative);
            rewards.claim(runId, wanted);
            assert(dollar.balanceOf(person(i)) == accounts[i].cumulative);
            assert(rewards.claimable(runId, wanted) == 0);
        }
        (, uint128 total,) = settlement.settled(runId);
        assert(rewards.claimedTotal(runId) == total && registry.getRun(runId).paid == total);
    }
}
