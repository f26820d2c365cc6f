// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Provenance} from "../src/Provenance.sol";
import {Fixture} from "./Fixture.sol";

contract ProvenanceTest is Fixture {
    Provenance private provenance;

    function setUp() public override {
        super.setUp();
        provenance = new Provenance(registry);
    }

    function _checkpoint(bytes32 parent) private view returns (Provenance.Checkpoint memory) {
        return Provenance.Checkpoint({
            runId: runId,
            sequence: 1,
            modelRoot: keccak256("weights"),
            parent: parent,
            datasetRoot: keccak256("data"),
            codeHash: keccak256("code"),
            evaluationHash: 0
        });
    }

    function test_lineage() public {
        provenance.registerDataset(keccak256("data"), keccak256("CC0"), 0, "ipfs://data");
        provenance.registerDataset(keccak256("part"), keccak256("CC0"), keccak256("data"), "");
        vm.startPrank(owner);
        bytes32 first = provenance.registerCheckpoint(_checkpoint(0));
        bytes32 second = provenance.registerCheckpoint(_checkpoint(first));
        vm.stopPrank();
        assert(provenance.checkpointRun(second) == runId && first != second);
        provenance.attest(second, keccak256("evaluation"), keccak256("report"));
    }

    function test_refused() public {
        vm.expectRevert(Provenance.Empty.selector);
        provenance.registerDataset(0, 0, 0, "");
        vm.expectPartialRevert(Provenance.UnknownParent.selector);
        provenance.registerDataset(keccak256("data"), 0, keccak256("nothing"), "");
        vm.expectPartialRevert(Provenance.NotRunOwner.selector);
        provenance.registerCheckpoint(_checkpoint(0));
        vm.prank(owner);
        vm.expectPartialRevert(Provenance.UnknownDataset.selector);
        provenance.registerCheckpoint(_checkpoint(0));
        provenance.registerDataset(keccak256("data"), 0, 0, "");
        vm.expectPartialRevert(Provenance.AlreadyRegistered.selector);
        provenance.registerDataset(keccak256("data"), 0, 0, "");
        vm.startPrank(owner);
        vm.expectPartialRevert(Provenance.UnknownParent.selector);
        provenance.registerCheckpoint(_checkpoint(keccak256("nothing")));
        provenance.registerCheckpoint(_checkpoint(0));
        vm.expectPartialRevert(Provenance.AlreadyRegistered.selector);
        provenance.registerCheckpoint(_checkpoint(0));
        vm.stopPrank();
        vm.expectRevert(Provenance.Empty.selector);
        provenance.attest(0, 0, keccak256("x"));
    }
}
