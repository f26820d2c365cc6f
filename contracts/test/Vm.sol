// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What forge offers at its own address; only what these tests use.
interface Vm {
    function prank(address caller) external;
    function startPrank(address caller) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;
    /// `block.timestamp` may be read again after a `warp`, where the compiler holds it for constant.
    function getBlockTimestamp() external view returns (uint256);
    function chainId(uint256 id) external;
    function addr(uint256 key) external returns (address);
    function sign(uint256 key, bytes32 digest) external returns (uint8 v, bytes32 r, bytes32 s);
    function expectRevert() external;
    function expectRevert(bytes calldata reason) external;
    function expectRevert(bytes4 selector) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit() external;
    function assume(bool condition) external;
}
