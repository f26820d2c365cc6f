// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {RunRegistry} from "./RunRegistry.sol";
import {Settlement} from "./Settlement.sol";

/// @title Claims of what final settlements credit
/// @notice Anybody may claim for anybody: the money goes to the account, or to the receiver that
///         the account has named. Credits are cumulative: what is due is credit less what was
///         claimed before.
contract Rewards is EIP712 {
    struct Claim {
        address account;
        uint128 cumulative;
        bytes32[] proof;
    }

    event Claimed(
        uint64 indexed runId, address indexed account, address indexed to, uint128 amount
    );
    /// A claim of a batch that could not be paid: it stays due, and the others were paid.
    event ClaimSkipped(uint64 indexed runId, address indexed account, Problem problem);
    event RecipientSet(address indexed account, address indexed to);

    enum Problem {
        None,
        WrongProof,
        NothingDue,
        OverTotal,
        TransferFailed
    }

    error ClaimFailed(Problem problem);
    error BadSignature();
    error Expired(uint64 deadline);

    bytes32 public constant RECIPIENT_TYPEHASH =
        keccak256("Recipient(address account,address to,uint256 nonce,uint64 deadline)");

    /// What one payout of a batch may take: far more than a token's transfer does, and fifty of them
    /// still fit into a transaction (EIP-7825). `claim` has no such limit.
    uint256 public constant BATCHED_GAS_MAX = 300_000;

    RunRegistry public immutable registry;
    Settlement public immutable settlement;

    mapping(uint64 runId => mapping(address account => uint128)) public claimed;
    /// Over all accounts of a run: never more than its final total, whatever the root holds.
    mapping(uint64 runId => uint128) public claimedTotal;
    mapping(address account => address) private _recipients;
    mapping(address account => uint256) public nonces;

    constructor(RunRegistry registry_, Settlement settlement_) EIP712("Manyhands Rewards", "1") {
        registry = registry_;
        settlement = settlement_;
    }

    function claim(uint64 runId, Claim calldata wanted) external {
        (bytes32 root, uint128 total,) = settlement.settled(runId);
        (Problem problem, uint128 due) = _due(runId, wanted, root, total);
        if (problem == Problem.None) problem = _pay(runId, wanted.account, due, gasleft());
        if (problem != Problem.None) revert ClaimFailed(problem);
    }

    /// @notice Pays all that can be paid. A claim that cannot is skipped, with an event, whatever its
    ///         receiver does: also if the token calls it, and it spends all gas that it is given.
    function claimMany(uint64 runId, Claim[] calldata wanted) external {
        (bytes32 root, uint128 total,) = settlement.settled(runId);
        for (uint256 i = 0; i < wanted.length; i++) {
            address account = wanted[i].account;
            (Problem problem, uint128 due) = _due(runId, wanted[i], root, total);
            if (problem == Problem.None) problem = _pay(runId, account, due, BATCHED_GAS_MAX);
            if (problem != Problem.None) emit ClaimSkipped(runId, account, problem);
        }
    }

    /// @notice Where payouts to the caller go; zero: to itself again.
    function setRecipient(address to) external {
        _setRecipient(msg.sender, to);
    }

    /// @notice The same by the account's signature (EIP-712; ERC-1271 for contracts), for an
    ///         account that has no gas.
    function setRecipientBySignature(
        address account,
        address to,
        uint64 deadline,
        bytes calldata signature
    ) external {
        if (block.timestamp > deadline) revert Expired(deadline);
        bytes32 content =
            keccak256(abi.encode(RECIPIENT_TYPEHASH, account, to, nonces[account]++, deadline));
        bool isValid = SignatureChecker.isValidSignatureNow(
            account, _hashTypedDataV4(content), signature
        );
        if (!isValid) revert BadSignature();
        _setRecipient(account, to);
    }

    function recipientOf(address account) public view returns (address) {
        address to = _recipients[account];
        return to == address(0) ? account : to;
    }

    /// @notice What `claim` would pay now.
    function claimable(uint64 runId, Claim calldata wanted) external view returns (uint128) {
        (bytes32 root, uint128 total,) = settlement.settled(runId);
        (Problem problem, uint128 due) = _due(runId, wanted, root, total);
        return problem == Problem.None ? due : 0;
    }

    function _pay(uint64 runId, address account, uint128 due, uint256 gasMax)
        private
        returns (Problem)
    {
        claimed[runId][account] += due;
        claimedTotal[runId] += due;
        address to = recipientOf(account);
        uint256 gas = gasleft();
        try registry.pay{gas: gasMax}(runId, to, due) returns (bool done) {
            if (done) {
                emit Claimed(runId, account, to, due);
                return Problem.None;
            }
        } catch {} // It had too little gas.
        // A call is given 63/64 of what is left (EIP-150). Was that less than a payout may take, then
        // it is the sender's fault, whose wallet looks for the least gas that does not fail.
        if (gas - gas / 64 < gasMax) revert ClaimFailed(Problem.TransferFailed);
        claimed[runId][account] -= due;
        claimedTotal[runId] -= due;
        return Problem.TransferFailed;
    }

    function _due(uint64 runId, Claim calldata wanted, bytes32 root, uint128 total)
        private
        view
        returns (Problem, uint128 due)
    {
        // Hashed twice, so that no inner node of the tree can pass as a leaf.
        bytes32 leaf = keccak256(
            bytes.concat(keccak256(abi.encode(runId, wanted.account, wanted.cumulative)))
        );
        if (root == 0 || !MerkleProof.verifyCalldata(wanted.proof, root, leaf)) {
            return (Problem.WrongProof, 0);
        }
        uint128 before = claimed[runId][wanted.account];
        if (wanted.cumulative <= before) return (Problem.NothingDue, 0);
        due = wanted.cumulative - before;
        if (due > total - claimedTotal[runId]) return (Problem.OverTotal, 0);
        return (Problem.None, due);
    }

    function _setRecipient(address account, address to) private {
        _recipients[account] = to;
        emit RecipientSet(account, to);
    }
}
