// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {RevenueVault} from "./RevenueVault.sol";
import {RunRegistry} from "./RunRegistry.sol";
import {Settlement} from "./Settlement.sol";

/// @title Shares in what a finished model earns
/// @notice OFF BY DEFAULT: nothing deploys this contract by itself. In many countries a token that
///         promises a part of revenue is a security, and offering it without a licence is an
///         offence. Ask a lawyer before you deploy it.
/// @dev    One share per unit of final credit, minted to whoever proves it, and only after the run's
///         last settlement is final: so there is nothing that could be traded earlier. The number of
///         shares is fixed then, minted or not, so nobody loses by minting late.
contract ModelShares is ERC20 {
    event SharesMinted(address indexed account, uint128 amount);

    error NotFinal(uint64 availableAt);
    error WrongProof();
    error AlreadyMinted(address account);

    uint64 public immutable runId;
    bytes32 public immutable creditRoot;
    /// All shares that can ever be, minted or not.
    uint128 public immutable shares;
    RevenueVault public immutable vault;

    mapping(address account => bool) public hasMinted;

    constructor(
        RunRegistry registry,
        uint64 runId_,
        address revenueToken,
        string memory name_,
        string memory symbol_
    ) ERC20(name_, symbol_) {
        RunRegistry.Run memory run = registry.getRun(runId_);
        uint64 availableAt = run.finishedAt + 3 * run.challengeWindow + 1;
        if (run.finishedAt == 0 || block.timestamp < availableAt) revert NotFinal(availableAt);
        Settlement settlement = registry.settlement();
        (bytes32 root, uint128 total,) = settlement.settled(runId_);
        if (root == 0) revert NotFinal(availableAt);
        runId = runId_;
        creditRoot = root;
        shares = total;
        vault = new RevenueVault(this, revenueToken, total);
    }

    /// @notice By anybody, for anybody: the shares go to the account.
    function mint(address account, uint128 cumulative, bytes32[] calldata proof) external {
        if (hasMinted[account]) revert AlreadyMinted(account);
        bytes32 leaf =
            keccak256(bytes.concat(keccak256(abi.encode(runId, account, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, creditRoot, leaf)) revert WrongProof();
        // Whatever the root holds: there are never more shares than were announced.
        if (totalSupply() + cumulative > shares) revert WrongProof();
        hasMinted[account] = true;
        _mint(account, cumulative);
        emit SharesMinted(account, cumulative);
    }

    /// The vault settles both sides at their old balances first.
    function _update(address from, address to, uint256 value) internal override {
        vault.beforeMove(from, to, value);
        super._update(from, to, value);
    }
}
