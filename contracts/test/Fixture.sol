// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Rewards} from "../src/Rewards.sol";
import {RunRegistry} from "../src/RunRegistry.sol";
import {Settlement} from "../src/Settlement.sol";
import {TestDollar} from "./Tokens.sol";
import {Vm} from "./Vm.sol";

/// A run of an owner with five attestors of whom three must sign, and trees of credit to post.
abstract contract Fixture {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint64 internal constant WINDOW = 1 days;
    uint256 internal constant ATTESTORS = 5;
    uint32 internal constant THRESHOLD = 3;
    uint128 internal constant BUDGET = 1_000_000e6;

    RunRegistry internal registry;
    Settlement internal settlement;
    Rewards internal rewards;
    TestDollar internal dollar;
    uint64 internal runId;
    address internal owner = address(0x0123);
    uint256[] internal keys;
    address[] internal attestors;

    struct Account {
        address account;
        uint128 cumulative;
    }

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        registry = new RunRegistry();
        settlement = registry.settlement();
        rewards = registry.rewards();
        dollar = new TestDollar();
        for (uint256 i = 0; i < ATTESTORS; i++) _insertKey(uint256(keccak256(abi.encode("key", i))));
        runId = newRun(dollar);
        fundRun(runId, dollar, BUDGET);
    }

    function _insertKey(uint256 key) private {
        keys.push(key);
        attestors.push(vm.addr(key));
        for (uint256 i = keys.length - 1; i > 0 && attestors[i] < attestors[i - 1]; i--) {
            (keys[i], keys[i - 1]) = (keys[i - 1], keys[i]);
            (attestors[i], attestors[i - 1]) = (attestors[i - 1], attestors[i]);
        }
    }

    function configOf(IERC20 token) internal view returns (RunRegistry.RunConfig memory) {
        return RunRegistry.RunConfig({
            token: token,
            challengeWindow: WINDOW,
            attestors: attestors,
            threshold: THRESHOLD,
            configHash: keccak256("run"),
            datasetRoot: keccak256("data")
        });
    }

    function newRun(IERC20 token) internal returns (uint64) {
        vm.prank(owner);
        return registry.createRun(configOf(token));
    }

    function fundRun(uint64 run, TestDollar token, uint256 amount) internal {
        token.mint(owner, amount);
        vm.startPrank(owner);
        token.approve(address(registry), amount);
        registry.fund(run, amount);
        vm.stopPrank();
    }

    function endorse(bytes32 digest, uint256 signers)
        internal
        returns (Settlement.Endorsement memory endorsement)
    {
        endorsement.threshold = THRESHOLD;
        endorsement.attestors = attestors;
        endorsement.signatures = new Settlement.Attestation[](signers);
        for (uint256 i = 0; i < signers; i++) {
            endorsement.signatures[i] = attest(digest, i, keys[i]);
        }
    }

    function attest(bytes32 digest, uint256 index, uint256 key)
        internal
        returns (Settlement.Attestation memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return Settlement.Attestation(index, r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
    }

    function postingOf(uint64 run, bytes32 root, uint128 total)
        internal
        view
        returns (Settlement.Posting memory)
    {
        return Settlement.Posting({
            runId: run,
            sequence: settlement.nextSequence(run),
            roundsRoot: keccak256("rounds"),
            creditRoot: root,
            total: total,
            modelRoot: keccak256("model"),
            evidence: keccak256("evidence")
        });
    }

    function post(uint64 run, bytes32 root, uint128 total) internal {
        Settlement.Posting memory posting = postingOf(run, root, total);
        settlement.post(posting, endorse(settlement.postingDigest(posting), THRESHOLD));
    }

    /// Posts the accounts' credits and waits until they are final.
    function settle(uint64 run, Account[] memory accounts) internal {
        uint128 total = 0;
        for (uint256 i = 0; i < accounts.length; i++) total += accounts[i].cumulative;
        post(run, rootOf(run, accounts), total);
        vm.warp(block.timestamp + WINDOW);
    }

    function leafOf(uint64 run, Account memory account) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(keccak256(abi.encode(run, account.account, account.cumulative)))
        );
    }

    function rootOf(uint64 run, Account[] memory accounts) internal pure returns (bytes32) {
        bytes32[] memory level = _leaves(run, accounts);
        while (level.length > 1) level = _above(level);
        return level[0];
    }

    function claimOf(uint64 run, Account[] memory accounts, uint256 index)
        internal
        pure
        returns (Rewards.Claim memory)
    {
        bytes32[] memory level = _leaves(run, accounts);
        bytes32[] memory proof = new bytes32[](64);
        uint256 length = 0;
        for (uint256 place = index; level.length > 1; place /= 2) {
            uint256 sibling = place ^ 1;
            // The odd one at the end goes up as it is.
            if (sibling < level.length) proof[length++] = level[sibling];
            level = _above(level);
        }
        assembly {
            mstore(proof, length)
        }
        return Rewards.Claim(accounts[index].account, accounts[index].cumulative, proof);
    }

    function _leaves(uint64 run, Account[] memory accounts)
        private
        pure
        returns (bytes32[] memory level)
    {
        level = new bytes32[](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) level[i] = leafOf(run, accounts[i]);
    }

    function _above(bytes32[] memory level) private pure returns (bytes32[] memory next) {
        next = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < level.length; i += 2) {
            next[i / 2] = i + 1 == level.length ? level[i] : _pair(level[i], level[i + 1]);
        }
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function person(uint256 index) internal pure returns (address) {
        return address(uint160(0xACC000000 + index));
    }

    /// Account i has (i + 1) times the unit.
    function people(uint256 count, uint128 unit) internal pure returns (Account[] memory accounts) {
        accounts = new Account[](count);
        for (uint256 i = 0; i < count; i++) {
            // forge-lint: disable-next-line(unsafe-typecast)
            accounts[i] = Account(person(i), unit * uint128(i + 1));
        }
    }
}
