// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {RunRegistry} from "../src/RunRegistry.sol";
import {Fixture} from "./Fixture.sol";
import {FeeToken, NoReturnToken, TestDollar} from "./Tokens.sol";

contract RunRegistryTest is Fixture {
    function test_aRunIsMadeAndFunded() public view {
        RunRegistry.Run memory run = registry.getRun(runId);
        assert(run.owner == owner && run.funded == BUDGET && run.paid == 0);
        assert(registry.runs() == 1 && dollar.balanceOf(address(registry)) == BUDGET);
    }

    function test_anybodyMayFund() public {
        address friend = address(0xF1);
        dollar.mint(friend, 5);
        vm.startPrank(friend);
        dollar.approve(address(registry), 5);
        registry.fund(runId, 5);
        vm.stopPrank();
        assert(registry.getRun(runId).funded == BUDGET + 5);
    }

    function test_fundWithPermit() public {
        uint256 key = 77;
        address giver = vm.addr(key);
        dollar.mint(giver, 10);
        (uint8 v, bytes32 r, bytes32 s) = _permit(key, giver, 10);
        vm.prank(giver);
        registry.fundWithPermit(runId, 10, block.timestamp, v, r, s);
        assert(registry.getRun(runId).funded == BUDGET + 10);
    }

    function test_aPermitThatSomebodyElseSentFirstIsNoHindrance() public {
        uint256 key = 77;
        address giver = vm.addr(key);
        dollar.mint(giver, 10);
        (uint8 v, bytes32 r, bytes32 s) = _permit(key, giver, 10);
        dollar.permit(giver, address(registry), 10, block.timestamp, v, r, s);
        vm.prank(giver);
        registry.fundWithPermit(runId, 10, block.timestamp, v, r, s);
        assert(registry.getRun(runId).funded == BUDGET + 10);
    }

    function _permit(uint256 key, address giver, uint256 amount)
        private
        returns (uint8, bytes32, bytes32)
    {
        bytes32 content = keccak256(
            abi.encode(
                keccak256(
                    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
                ),
                giver,
                address(registry),
                amount,
                0,
                block.timestamp
            )
        );
        return
            vm.sign(key, keccak256(abi.encodePacked("\x19\x01", dollar.DOMAIN_SEPARATOR(), content)));
    }

    function test_whatArrivesCounts() public {
        FeeToken token = new FeeToken();
        uint64 run = newRun(token);
        fundRun(run, token, 1_000);
        assert(registry.getRun(run).funded == 990);
    }

    function test_aTokenThatReturnsNothing() public {
        NoReturnToken token = new NoReturnToken();
        uint64 run = newRun(IERC20(address(token)));
        token.mint(owner, 9);
        vm.startPrank(owner);
        token.approve(address(registry), 9);
        registry.fund(run, 9);
        registry.finish(run, 0);
        vm.warp(block.timestamp + 3 * WINDOW + 1);
        registry.reclaimUnspent(run);
        vm.stopPrank();
        assert(token.balanceOf(owner) == 9);
    }

    function test_refused_badRuns() public {
        RunRegistry.RunConfig memory config = configOf(dollar);
        config.token = IERC20(address(0xdead));
        _refused(config, RunRegistry.BadToken.selector);
        config = configOf(dollar);
        config.challengeWindow = 31 days;
        _refused(config, RunRegistry.BadWindow.selector);
        config = configOf(dollar);
        config.threshold = 6;
        _refused(config, RunRegistry.BadAttestors.selector);
        config.threshold = 0;
        _refused(config, RunRegistry.BadAttestors.selector);
        config = configOf(dollar);
        config.attestors[1] = config.attestors[0];
        _refused(config, RunRegistry.BadAttestors.selector);
        config = configOf(dollar);
        config.attestors = new address[](0);
        _refused(config, RunRegistry.BadAttestors.selector);
        config = configOf(dollar);
        config.attestors = new address[](33);
        _refused(config, RunRegistry.BadAttestors.selector);
        config.attestors = new address[](1);
        config.threshold = 1;
        _refused(config, RunRegistry.BadAttestors.selector);
    }

    function _refused(RunRegistry.RunConfig memory config, bytes4 why) private {
        vm.expectPartialRevert(why);
        registry.createRun(config);
    }

    function test_onlyTheOwnerRules() public {
        bytes memory why =
            abi.encodeWithSelector(RunRegistry.NotOwner.selector, runId, address(this));
        vm.expectRevert(why);
        registry.setPaused(runId, true);
        vm.expectRevert(why);
        registry.finish(runId, 0);
        vm.expectRevert(why);
        registry.reclaimUnspent(runId);
        vm.expectRevert(why);
        registry.setAttestors(runId, attestors, 1, endorse(0, 3));
    }

    function test_nobodyButRewardsPays() public {
        vm.prank(owner);
        vm.expectPartialRevert(RunRegistry.NotRewards.selector);
        registry.pay(runId, owner, 1);
    }

    function test_unknownRuns() public {
        vm.expectRevert(abi.encodeWithSelector(RunRegistry.NoSuchRun.selector, 9));
        registry.getRun(9);
        vm.expectRevert(abi.encodeWithSelector(RunRegistry.NoSuchRun.selector, 9));
        registry.fund(9, 1);
    }

    function test_theUnspentGoesBackThreeWindowsAfterTheEnd() public {
        settle(runId, people(3, 10e6));
        vm.startPrank(owner);
        vm.expectPartialRevert(RunRegistry.NotFinished.selector);
        registry.reclaimUnspent(runId);
        registry.finish(runId, keccak256("final"));
        vm.expectPartialRevert(RunRegistry.AlreadyFinished.selector);
        registry.finish(runId, 0);
        vm.warp(block.timestamp + 3 * WINDOW);
        vm.expectPartialRevert(RunRegistry.TooEarly.selector);
        registry.reclaimUnspent(runId);
        vm.warp(block.timestamp + 1);
        registry.reclaimUnspent(runId);
        assert(dollar.balanceOf(owner) == BUDGET - 60e6);
        vm.expectRevert(RunRegistry.NothingUnspent.selector);
        registry.reclaimUnspent(runId);
        vm.stopPrank();
        for (uint256 i = 0; i < 3; i++) rewards.claim(runId, claimOf(runId, people(3, 10e6), i));
        assert(dollar.balanceOf(address(registry)) == 0);
    }

    function test_aFinishedRunTakesNoMoney() public {
        vm.prank(owner);
        registry.finish(runId, 0);
        vm.expectRevert(abi.encodeWithSelector(RunRegistry.AlreadyFinished.selector, runId));
        registry.fund(runId, 1);
    }

    function test_theLastSettlementMayComeAfterTheEndButNotLate() public {
        vm.prank(owner);
        registry.finish(runId, 0);
        uint256 end = vm.getBlockTimestamp();
        vm.warp(end + 2 * WINDOW);
        post(runId, rootOf(runId, people(1, 5e6)), 5e6);
        vm.warp(end + 3 * WINDOW + 1);
        vm.prank(owner);
        registry.reclaimUnspent(runId);
        rewards.claim(runId, claimOf(runId, people(1, 5e6), 0));
        assert(dollar.balanceOf(person(0)) == 5e6);
    }

    function testFuzz_oneRunNeverSpendsAnothersMoney(uint128 a, uint128 b) public {
        a = a % 1e30 + 1;
        b = b % 1e30 + 1;
        uint64 first = newRun(dollar);
        uint64 second = newRun(dollar);
        fundRun(first, dollar, a);
        fundRun(second, dollar, b);
        settle(first, people(1, a));
        rewards.claim(first, claimOf(first, people(1, a), 0));
        assert(dollar.balanceOf(address(registry)) == uint256(BUDGET) + b);
        assert(registry.getRun(second).funded == b);
    }
}
