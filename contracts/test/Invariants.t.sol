// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rewards} from "../src/Rewards.sol";
import {RunRegistry} from "../src/RunRegistry.sol";
import {Settlement} from "../src/Settlement.sol";
import {Fixture} from "./Fixture.sol";

/// Does what owners, attestors, workers and strangers may do, in any order, on two runs.
contract Players is Fixture {
    uint64[2] public run;
    uint256 public constant WORKERS = 6;
    uint128[WORKERS][2] private _pendingCredit;
    uint256 public fundedIn;
    uint128[2] private _finalTotal;
    bool public hasFallen;

    modifier watched() {
        _;
        for (uint256 i = 0; i < 2; i++) {
            (, uint128 total,) = settlement.settled(run[i]);
            if (total < _finalTotal[i]) hasFallen = true;
            _finalTotal[i] = total;
        }
    }

    function start() external {
        Fixture.setUp();
        run[0] = runId;
        run[1] = newRun(dollar);
        fundedIn = BUDGET;
    }

    function parts() external view returns (RunRegistry, Settlement, Rewards, address) {
        return (registry, settlement, rewards, address(dollar));
    }

    function ownersBalance() external view returns (uint256) {
        return dollar.balanceOf(owner);
    }

    function workersBalance() external view returns (uint256 sum) {
        for (uint256 i = 0; i < WORKERS; i++) sum += dollar.balanceOf(person(i));
    }

    function fundMore(uint256 which, uint128 amount) external watched {
        amount = amount % 1e12 + 1;
        fundRun(run[which % 2], dollar, amount);
        fundedIn += amount;
    }

    function wait(uint256 time) external watched {
        vm.warp(block.timestamp + time % (2 * WINDOW));
    }

    /// Attestors sign what they should, or in one of four cases a root that is worth too much.
    function postSettlement(uint256 which, uint256 noise) external watched {
        which %= 2;
        Account[] memory accounts = new Account[](WORKERS);
        uint128 total = 0;
        for (uint256 i = 0; i < WORKERS; i++) {
            // forge-lint: disable-next-line(unsafe-typecast)
            uint128 more = uint128(uint256(keccak256(abi.encode(noise, i))) % 1e9);
            accounts[i] = Account(person(i), _pendingCredit[which][i] + more);
            total += accounts[i].cumulative;
        }
        uint128 said = noise % 4 == 0 ? total / 2 : total;
        post(run[which], rootOf(run[which], accounts), said);
        for (uint256 i = 0; i < WORKERS; i++) _pendingCredit[which][i] = accounts[i].cumulative;
    }

    function revoke(uint256 which) external watched {
        uint64 id = run[which % 2];
        uint64 sequence = settlement.pending(id).sequence;
        settlement.revoke(id, endorse(settlement.revocationDigest(id, sequence), THRESHOLD));
    }

    /// Whoever claims knows all credits that were ever posted, the newest ones first.
    function claimFor(uint256 which, uint256 worker) external {
        which %= 2;
        Account[] memory accounts = new Account[](WORKERS);
        for (uint256 i = 0; i < WORKERS; i++) {
            accounts[i] = Account(person(i), _pendingCredit[which][i]);
        }
        rewards.claim(run[which], claimOf(run[which], accounts, worker % WORKERS));
    }

    function pause(uint256 which, bool paused) external {
        vm.prank(owner);
        registry.setPaused(run[which % 2], paused);
    }

    function finish(uint256 which, uint256 seldom) external watched {
        if (seldom % 8 != 0) return;
        vm.prank(owner);
        registry.finish(run[which % 2], 0);
    }

    function reclaim(uint256 which) external watched {
        vm.prank(owner);
        registry.reclaimUnspent(run[which % 2]);
    }
}

contract InvariantsTest {
    Players private players;
    RunRegistry private registry;
    Settlement private settlement;
    Rewards private rewards;

    function setUp() public {
        players = new Players();
        players.start();
        (registry, settlement, rewards,) = players.parts();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(players);
    }

    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](2);
        selectors[0] = Players.start.selector;
        selectors[1] = bytes4(keccak256("setUp()"));
        excluded[0] = FuzzSelector(address(players), selectors);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// Payouts + what went back + what is still there = what came in.
    function invariant_noUnitIsLostOrMade() public view {
        (,,, address dollar) = players.parts();
        (bool ok, bytes memory answer) = dollar.staticcall(
            abi.encodeWithSignature("balanceOf(address)", address(registry))
        );
        assert(ok);
        uint256 held = abi.decode(answer, (uint256));
        uint256 out = players.ownersBalance() + players.workersBalance();
        assert(held + out == players.fundedIn());
    }

    function invariant_aRunPaysAtMostWhatIsFinalAndFunded() public view {
        for (uint256 i = 0; i < 2; i++) {
            uint64 run = players.run(i);
            (, uint128 total,) = settlement.settled(run);
            RunRegistry.Run memory facts = registry.getRun(run);
            assert(facts.paid <= total && total <= facts.funded);
            assert(facts.paid == rewards.claimedTotal(run));
        }
    }

    function invariant_finalTotalsNeverFall() public view {
        assert(!players.hasFallen());
    }
}
