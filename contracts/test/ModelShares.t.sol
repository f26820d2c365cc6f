// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ModelShares} from "../src/ModelShares.sol";
import {RevenueVault} from "../src/RevenueVault.sol";
import {Rewards} from "../src/Rewards.sol";
import {Fixture} from "./Fixture.sol";

contract ModelSharesTest is Fixture {
    ModelShares private shares;
    RevenueVault private vault;
    Account[] private accounts;

    function setUp() public override {
        super.setUp();
        Account[] memory all = people(3, 100);
        for (uint256 i = 0; i < 3; i++) accounts.push(all[i]);
        settle(runId, accounts);
    }

    function _deploy() private {
        vm.prank(owner);
        registry.finish(runId, 0);
        vm.warp(block.timestamp + 3 * WINDOW + 1);
        shares = new ModelShares(registry, runId, address(dollar), "Shares", "SH");
        vault = shares.vault();
    }

    function _mint(uint256 index) private {
        Rewards.Claim memory wanted = claimOf(runId, accounts, index);
        shares.mint(wanted.account, wanted.cumulative, wanted.proof);
    }

    function _deposit(uint256 amount) private {
        dollar.mint(address(this), amount);
        dollar.approve(address(vault), amount);
        vault.deposit(amount);
    }

    function test_refused_beforeTheRunIsOver() public {
        vm.expectPartialRevert(ModelShares.NotFinal.selector);
        new ModelShares(registry, runId, address(dollar), "Shares", "SH");
        vm.prank(owner);
        registry.finish(runId, 0);
        vm.warp(block.timestamp + 3 * WINDOW);
        vm.expectPartialRevert(ModelShares.NotFinal.selector);
        new ModelShares(registry, runId, address(dollar), "Shares", "SH");
    }

    function test_sharesAreWhatWasCredited() public {
        _deploy();
        for (uint256 i = 0; i < 3; i++) _mint(i);
        assert(shares.totalSupply() == 600 && shares.balanceOf(person(2)) == 300);
        Rewards.Claim memory wanted = claimOf(runId, accounts, 0);
        vm.expectPartialRevert(ModelShares.AlreadyMinted.selector);
        shares.mint(wanted.account, wanted.cumulative, wanted.proof);
    }

    function test_refused_aWrongProof() public {
        _deploy();
        Rewards.Claim memory wanted = claimOf(runId, accounts, 0);
        vm.expectRevert(ModelShares.WrongProof.selector);
        shares.mint(wanted.account, wanted.cumulative + 1, wanted.proof);
    }

    function test_whoMintsLateLosesNothing() public {
        _deploy();
        _mint(0);
        _deposit(600);
        _mint(1);
        _deposit(1_200);
        _mint(2);
        for (uint256 i = 0; i < 3; i++) {
            vault.claimRevenue(person(i));
            assert(dollar.balanceOf(person(i)) == 300 * (i + 1));
        }
        vm.expectRevert(RevenueVault.NothingDue.selector);
        vault.claimRevenue(person(0));
    }

    function test_whatWasEarnedStaysWithTheOldHolder() public {
        _deploy();
        _mint(2);
        _deposit(600);
        vm.prank(person(2));
        shares.transfer(person(9), 300);
        _deposit(600);
        assert(vault.dueTo(person(2)) == 300 && vault.dueTo(person(9)) == 300);
        vault.claimRevenue(person(9));
        vault.claimRevenue(person(2));
        assert(dollar.balanceOf(address(vault)) == 600);
    }

    function test_onlyTheSharesMoveAccounts() public {
        _deploy();
        vm.expectPartialRevert(RevenueVault.NotShares.selector);
        vault.beforeMove(address(0), address(this), 1e9);
    }

    function testFuzz_theVaultNeverOwesMoreThanItHas(uint256 seed) public {
        _deploy();
        for (uint256 i = 0; i < 3; i++) _mint(i);
        for (uint256 step = 0; step < 12; step++) {
            seed = uint256(keccak256(abi.encode(seed)));
            address from = person(seed % 4);
            address to = person((seed >> 8) % 4);
            if (seed % 3 == 0) _deposit((seed >> 16) % 10_000 + 1);
            uint256 held = shares.balanceOf(from);
            if (held > 0) {
                vm.prank(from);
                shares.transfer(to, (seed >> 32) % (held + 1));
            }
            if ((seed >> 64) % 4 == 0 && vault.dueTo(to) > 0) vault.claimRevenue(to);
            uint256 owed = 0;
            for (uint256 i = 0; i < 4; i++) owed += vault.dueTo(person(i));
            assert(owed <= dollar.balanceOf(address(vault)));
        }
    }
}
