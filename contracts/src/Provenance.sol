// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RunRegistry} from "./RunRegistry.sol";

/// @title Where models come from
/// @notice A public record of datasets, checkpoints and what people say of them. It stores only who
///         was first to record something, so that lineage can be followed; the rest is events.
contract Provenance {
    struct Checkpoint {
        uint64 runId;
        uint64 sequence;
        bytes32 modelRoot;
        /// The checkpoint from which training went on; zero for the first.
        bytes32 parent;
        bytes32 datasetRoot;
        bytes32 codeHash;
        bytes32 evaluationHash;
    }

    event DatasetRegistered(
        bytes32 indexed manifestRoot,
        address indexed owner,
        bytes32 indexed parent,
        bytes32 licenceHash,
        string uri
    );
    event CheckpointRegistered(
        bytes32 indexed id,
        uint64 indexed runId,
        bytes32 indexed modelRoot,
        uint64 sequence,
        bytes32 parent,
        bytes32 datasetRoot,
        bytes32 codeHash,
        bytes32 evaluationHash
    );
    event Attested(
        bytes32 indexed subject, address indexed by, bytes32 indexed kind, bytes32 contentHash
    );

    error Empty();
    error AlreadyRegistered(bytes32 id);
    error UnknownParent(bytes32 parent);
    error UnknownDataset(bytes32 manifestRoot);
    error NotRunOwner(uint64 runId, address caller);

    RunRegistry public immutable registry;

    mapping(bytes32 manifestRoot => address) public datasetOwner;
    mapping(bytes32 checkpoint => uint64) public checkpointRun;

    constructor(RunRegistry registry_) {
        registry = registry_;
    }

    /// @param parent the dataset that this one is made from; zero if there is none
    function registerDataset(
        bytes32 manifestRoot,
        bytes32 licenceHash,
        bytes32 parent,
        string calldata uri
    ) external {
        if (manifestRoot == 0) revert Empty();
        if (datasetOwner[manifestRoot] != address(0)) revert AlreadyRegistered(manifestRoot);
        if (parent != 0 && datasetOwner[parent] == address(0)) revert UnknownParent(parent);
        datasetOwner[manifestRoot] = msg.sender;
        emit DatasetRegistered(manifestRoot, msg.sender, parent, licenceHash, uri);
    }

    /// @notice Only a run's owner speaks for its checkpoints.
    /// @return id by which a later checkpoint names this one as its parent
    function registerCheckpoint(Checkpoint calldata checkpoint) external returns (bytes32 id) {
        if (checkpoint.modelRoot == 0) revert Empty();
        if (registry.getRun(checkpoint.runId).owner != msg.sender) {
            revert NotRunOwner(checkpoint.runId, msg.sender);
        }
        bytes32 parent = checkpoint.parent;
        if (parent != 0 && checkpointRun[parent] == 0) revert UnknownParent(parent);
        bytes32 data = checkpoint.datasetRoot;
        if (data != 0 && datasetOwner[data] == address(0)) revert UnknownDataset(data);
        id = keccak256(abi.encode(checkpoint));
        if (checkpointRun[id] != 0) revert AlreadyRegistered(id);
        checkpointRun[id] = checkpoint.runId;
        emit CheckpointRegistered(
            id,
            checkpoint.runId,
            checkpoint.modelRoot,
            checkpoint.sequence,
            parent,
            data,
            checkpoint.codeHash,
            checkpoint.evaluationHash
        );
    }

    /// @notice Anybody may say something about anything: an evaluation, a complaint, a licence.
    function attest(bytes32 subject, bytes32 kind, bytes32 contentHash) external {
        if (subject == 0 || contentHash == 0) revert Empty();
        emit Attested(subject, msg.sender, kind, contentHash);
    }
}
