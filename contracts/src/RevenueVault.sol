// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title What a model earned, by shares
/// @notice OFF BY DEFAULT, like the shares: see ModelShares on securities law.
/// @dev    perShare = Σ deposits · 2^128 / shares. An account is owed balance · (perShare − perShare
///         at its last move). Shares that nobody has minted yet earn from the first deposit on: a
///         mint counts from zero. Rounding keeps less than two units per deposit and account in the
///         vault. All deposits together are less than 2^128, so that no product overflows.
contract RevenueVault is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    event RevenueDeposited(address indexed from, uint256 amount);
    event RevenueClaimed(address indexed account, uint256 amount);

    error NotShares(address caller);
    error NothingReceived();
    error NothingDue();
    error NoShares();
    error TooMuch();

    uint256 private constant SCALE = 2 ** 128;

    IERC20 public immutable shares;
    IERC20 public immutable token;
    uint128 public immutable sharesTotal;

    uint256 public perShare;
    uint256 private _deposited;
    mapping(address account => uint256) private _seen;
    mapping(address account => uint256) private _owed;

    constructor(IERC20 shares_, address token_, uint128 sharesTotal_) {
        if (sharesTotal_ == 0) revert NoShares();
        shares = shares_;
        token = IERC20(token_);
        sharesTotal = sharesTotal_;
    }

    function deposit(uint256 amount) external nonReentrant {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received == 0) revert NothingReceived();
        if (received > type(uint128).max - _deposited) revert TooMuch();
        _deposited += received;
        perShare += (received * SCALE) / sharesTotal;
        emit RevenueDeposited(msg.sender, received);
    }

    /// @notice By anybody, for anybody: the money goes to the account.
    function claimRevenue(address account) external nonReentrant {
        uint256 due = dueTo(account);
        if (due == 0) revert NothingDue();
        _seen[account] = perShare;
        _owed[account] = 0;
        emit RevenueClaimed(account, due);
        token.safeTransfer(account, due);
    }

    function dueTo(address account) public view returns (uint256) {
        uint256 grown = shares.balanceOf(account) * (perShare - _seen[account]);
        return _owed[account] + grown / SCALE;
    }

    /// @notice Called by the shares before balances change.
    function beforeMove(address from, address to, uint256 value) external {
        if (msg.sender != address(shares)) revert NotShares(msg.sender);
        if (from != address(0)) _settle(from);
        if (to == address(0)) return;
        _settle(to);
        if (from == address(0)) _owed[to] += (value * perShare) / SCALE;
    }

    function _settle(address account) private {
        _owed[account] = dueTo(account);
        _seen[account] = perShare;
    }
}
