// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {RunRegistry} from "./RunRegistry.sol";

/// @title What a run owes to whom, as roots
/// @notice A settlement says: after these rounds, this root holds everybody's credit since the run
///         began, and all credit together is `total`. It is posted with the signatures of at least
///         `threshold` attestors (EIP-712), waits for the challenge window, and is final then.
/// @dev    Roots are cumulative, so a later settlement holds all that an earlier one did, and one
///         that was missed costs nobody anything.
contract Settlement is EIP712 {
    struct Posting {
        uint64 runId;
        /// One more than the last one posted, revoked ones included.
        uint64 sequence;
        /// Over the log's rounds that this settlement covers.
        bytes32 roundsRoot;
        /// Merkle root over keccak256(keccak256(abi.encode(runId, account, cumulative))).
        bytes32 creditRoot;
        /// Sum of all cumulative credits. It never falls.
        uint128 total;
        /// Weights after the last of these rounds.
        bytes32 modelRoot;
        /// Hash of the public bundle from which anybody can compute the rest.
        bytes32 evidence;
    }

    /// A signature in 64 bytes (ERC-2098), with the signer's place in the attestors' list.
    struct Attestation {
        uint256 index;
        bytes32 r;
        bytes32 vs;
    }

    /// The attestors' whole list with its threshold, as the registry knows their hash, and the
    /// signatures of some, in the order of the list, each at most once.
    struct Endorsement {
        uint32 threshold;
        address[] attestors;
        Attestation[] signatures;
    }

    struct Root {
        bytes32 creditRoot;
        uint128 total;
        uint64 sequence;
        uint64 finalAt;
    }

    event SettlementPosted(
        uint64 indexed runId,
        uint64 indexed sequence,
        bytes32 roundsRoot,
        bytes32 creditRoot,
        uint128 total,
        bytes32 modelRoot,
        bytes32 evidence,
        uint64 finalAt
    );
    event SettlementFinal(uint64 indexed runId, uint64 indexed sequence);
    event SettlementRevoked(uint64 indexed runId, uint64 indexed sequence);

    error RunClosed(uint64 runId);
    error WrongSequence(uint64 expected, uint64 found);
    error WindowOpen(uint64 finalAt);
    error NothingPending(uint64 runId);
    error FallingTotal(uint128 last, uint128 found);
    error OverBudget(uint128 funded, uint128 found);
    error EmptyRoot();
    error UnknownAttestors();
    error TooFewSignatures(uint256 threshold, uint256 found);
    error WrongSigner(uint256 index, address found);
    error UnorderedSignatures();

    bytes32 public constant POSTING_TYPEHASH = keccak256(
        "Posting(uint64 runId,uint64 sequence,bytes32 roundsRoot,bytes32 creditRoot,uint128 total,bytes32 modelRoot,bytes32 evidence)"
    );
    bytes32 public constant REVOCATION_TYPEHASH =
        keccak256("Revocation(uint64 runId,uint64 sequence)");
    bytes32 public constant ROTATION_TYPEHASH =
        keccak256("Rotation(uint64 runId,bytes32 attestorsHash,uint64 since)");

    RunRegistry public immutable registry;

    mapping(uint64 runId => Root) private _settled;
    /// The newest one. After its time it counts as settled, whether it was moved there or not. A
    /// revoked one keeps its sequence, so that its signatures are no good a second time.
    mapping(uint64 runId => Root) private _posted;

    constructor(RunRegistry registry_) EIP712("Manyhands Settlement", "1") {
        registry = registry_;
    }

    /// @notice Anybody may post what the attestors have signed.
    function post(Posting calldata posting, Endorsement calldata endorsement) external {
        uint64 runId = posting.runId;
        (bytes32 attestorsHash, uint128 funded, uint64 window, bool isOpen) =
            registry.settlementFacts(runId);
        if (!isOpen) revert RunClosed(runId);
        if (posting.creditRoot == 0) revert EmptyRoot();
        if (posting.total > funded) revert OverBudget(funded, posting.total);
        _promote(runId);
        Root storage posted = _posted[runId];
        uint64 expected = posted.sequence + 1;
        if (posting.sequence != expected) revert WrongSequence(expected, posting.sequence);
        uint128 last = _settled[runId].total;
        if (posting.total < last) revert FallingTotal(last, posting.total);
        _check(_hashTypedDataV4(_hash(posting)), attestorsHash, endorsement);

        uint64 finalAt = uint64(block.timestamp) + window;
        posted.creditRoot = posting.creditRoot;
        posted.total = posting.total;
        posted.sequence = posting.sequence;
        posted.finalAt = finalAt;
        _emitPosted(posting, finalAt);
    }

    /// @notice Takes a pending settlement back. As many attestors as for posting must want it.
    function revoke(uint64 runId, Endorsement calldata endorsement) external {
        Root storage posted = _posted[runId];
        if (!_isPending(posted)) revert NothingPending(runId);
        (bytes32 attestorsHash,,,) = registry.settlementFacts(runId);
        uint64 sequence = posted.sequence;
        _check(revocationDigest(runId, sequence), attestorsHash, endorsement);
        posted.creditRoot = 0;
        posted.total = 0;
        posted.finalAt = 0;
        emit SettlementRevoked(runId, sequence);
    }

    /// @notice What is final now. All zero before the first settlement is.
    function settled(uint64 runId)
        external
        view
        returns (bytes32 creditRoot, uint128 total, uint64 sequence)
    {
        Root storage root = _posted[runId];
        if (root.creditRoot == 0 || _isPending(root)) root = _settled[runId];
        return (root.creditRoot, root.total, root.sequence);
    }

    /// @notice What waits for its challenge window to end. All zero if nothing does.
    function pending(uint64 runId) external view returns (Root memory root) {
        if (_isPending(_posted[runId])) root = _posted[runId];
    }

    /// @notice The number that the next settlement must have.
    function nextSequence(uint64 runId) external view returns (uint64) {
        return _posted[runId].sequence + 1;
    }

    /// @notice What attestors sign.
    function postingDigest(Posting calldata posting) external view returns (bytes32) {
        return _hashTypedDataV4(_hash(posting));
    }

    function revocationDigest(uint64 runId, uint64 sequence) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(REVOCATION_TYPEHASH, runId, sequence)));
    }

    /// @notice What attestors sign to make way for others.
    /// @param attestorsHash keccak256(abi.encode(threshold, attestors)) of the others
    /// @param since         the run's `nextAttestorsFrom` until then: consent counts once
    function rotationDigest(uint64 runId, bytes32 attestorsHash, uint64 since)
        external
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(abi.encode(ROTATION_TYPEHASH, runId, attestorsHash, since))
        );
    }

    /// @notice Reverts unless enough of these attestors have signed the digest.
    function requireSigned(
        bytes32 digest,
        bytes32 attestorsHash,
        Endorsement calldata endorsement
    ) external pure {
        _check(digest, attestorsHash, endorsement);
    }

    /// Moves the newest one to the settled ones if its time is over. @dev reverts while it is not
    function _promote(uint64 runId) private {
        Root storage posted = _posted[runId];
        if (posted.creditRoot == 0) return;
        if (_isPending(posted)) revert WindowOpen(posted.finalAt);
        Root storage root = _settled[runId];
        if (root.sequence == posted.sequence) return;
        root.creditRoot = posted.creditRoot;
        root.total = posted.total;
        root.sequence = posted.sequence;
        root.finalAt = posted.finalAt;
        emit SettlementFinal(runId, posted.sequence);
    }

    function _isPending(Root storage root) private view returns (bool) {
        return root.creditRoot != 0 && block.timestamp < root.finalAt;
    }

    function _hash(Posting calldata posting) private pure returns (bytes32) {
        return keccak256(abi.encode(POSTING_TYPEHASH, posting));
    }

    function _check(bytes32 digest, bytes32 attestorsHash, Endorsement calldata endorsement)
        private
        pure
    {
        uint32 threshold = endorsement.threshold;
        address[] calldata attestors = endorsement.attestors;
        if (keccak256(abi.encode(threshold, attestors)) != attestorsHash) revert UnknownAttestors();
        Attestation[] calldata signatures = endorsement.signatures;
        uint256 count = signatures.length;
        if (count < threshold) revert TooFewSignatures(threshold, count);
        uint256 next = 0;
        for (uint256 i = 0; i < count; i++) {
            Attestation calldata given = signatures[i];
            if (given.index < next) revert UnorderedSignatures();
            next = given.index + 1;
            if (next > attestors.length) revert UnorderedSignatures();
            (address signer, ECDSA.RecoverError problem,) =
                ECDSA.tryRecover(digest, given.r, given.vs);
            if (problem != ECDSA.RecoverError.NoError || signer != attestors[given.index]) {
                revert WrongSigner(given.index, signer);
            }
        }
    }

    function _emitPosted(Posting calldata posting, uint64 finalAt) private {
        emit SettlementPosted(
            posting.runId,
            posting.sequence,
            posting.roundsRoot,
            posting.creditRoot,
            posting.total,
            posting.modelRoot,
            posting.evidence,
            finalAt
        );
    }
}
