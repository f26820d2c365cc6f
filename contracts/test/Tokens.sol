// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// A dollar as most are: 6 decimals, signed approvals. Anybody mints: it is for tests and demos.
contract TestDollar is ERC20Permit {
    constructor() ERC20("Test Dollar", "TUSD") ERC20Permit("Test Dollar") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// Keeps a hundredth of each transfer.
contract FeeToken is TestDollar {
    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value / 100;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}

/// Transfers take 240,000 gas.
contract HeavyToken is TestDollar {
    function _update(address from, address to, uint256 value) internal override {
        uint256 end = gasleft() - 200_000;
        while (gasleft() > end) {}
        super._update(from, to, value);
    }
}

/// Refuses some receivers, as dollars with a black list do.
contract RefusingToken is TestDollar {
    mapping(address account => bool) public refused;

    function refuse(address account) external {
        refused[account] = true;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!refused[to], "refused");
        super._update(from, to, value);
    }
}

/// Says false instead of reverting.
contract FalseToken is TestDollar {
    bool public isBroken;

    function breakDown() external {
        isBroken = true;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return isBroken ? false : super.transfer(to, value);
    }
}

/// The old way: transfers return nothing at all.
contract NoReturnToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address account => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0, "reset it first");
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

interface Reentry {
    function again() external;
}

/// Calls back whoever receives it.
contract CallingToken is TestDollar {
    address public target;

    function callBack(address target_) external {
        target = target_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target != address(0) && to == target) Reentry(target).again();
    }
}
