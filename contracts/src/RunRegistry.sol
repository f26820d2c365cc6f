// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Rewards} from "./Rewards.sol";
import {Settlement} from "./Settlement.sol";

/// @title Runs and their money
/// @notice Holds what runs were funded with. Money leaves in two ways only: to whom a final
///         settlement credits it, through `rewards`; and back to the run's owner, if the run is
///         finished, its last settlement is final, and no settlement credits it.
/// @dev    Nobody owns this contract, and nothing in it can be replaced. It makes the other two, so
///         that no address has to be told to it later. Tokens whose balances change by themselves
///         (rebasing) are not for it: accounts here are per run, and such a token breaks them.
contract RunRegistry is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct RunConfig {
        IERC20 token;
        /// Seconds from a settlement's posting until it is final, and until new attestors count.
        uint64 challengeWindow;
        /// Attestors in ascending order, so that none is there twice.
        address[] attestors;
        uint32 threshold;
        /// The run's name outside: the hash of its frozen description.
        bytes32 configHash;
        bytes32 datasetRoot;
    }

    struct Run {
        address owner;
        uint64 challengeWindow;
        bool paused;
        IERC20 token;
        uint64 finishedAt;
        /// What came in, less what went back to the owner. Payouts do not lower it.
        uint128 funded;
        uint128 paid;
        /// keccak256(abi.encode(threshold, attestors)): lists come with each call that needs them.
        bytes32 attestorsHash;
        bytes32 nextAttestorsHash;
        uint64 nextAttestorsFrom;
    }

    event RunCreated(
        uint64 indexed runId,
        address indexed owner,
        IERC20 token,
        uint64 challengeWindow,
        bytes32 configHash,
        bytes32 datasetRoot
    );
    event AttestorsChanged(
        uint64 indexed runId, uint32 threshold, address[] attestors, uint64 effectiveAt
    );
    event RunFunded(uint64 indexed runId, address indexed from, uint256 amount);
    event RunPaused(uint64 indexed runId, bool paused);
    event RunFinished(uint64 indexed runId, bytes32 finalModelRoot);
    event UnspentReclaimed(uint64 indexed runId, uint256 amount);

    error NoSuchRun(uint64 runId);
    error NotOwner(uint64 runId, address caller);
    error NotRewards(address caller);
    error BadAttestors();
    error BadToken(address token);
    error BadWindow(uint64 challengeWindow);
    error AlreadyFinished(uint64 runId);
    error NotFinished(uint64 runId);
    error TooEarly(uint64 availableAt);
    error NothingReceived();
    error NothingUnspent();

    uint256 public constant ATTESTORS_MAX = 32;
    uint64 public constant WINDOW_MAX = 30 days;

    Settlement public immutable settlement;
    Rewards public immutable rewards;

    /// @notice How many runs there are; the first one is 1.
    uint64 public runs;
    mapping(uint64 runId => Run) private _runs;

    constructor() {
        settlement = new Settlement(this);
        rewards = new Rewards(this, settlement);
    }

    modifier onlyOwner(uint64 runId) {
        if (_run(runId).owner != msg.sender) revert NotOwner(runId, msg.sender);
        _;
    }

    function createRun(RunConfig calldata config) external returns (uint64 runId) {
        if (address(config.token).code.length == 0) revert BadToken(address(config.token));
        if (config.challengeWindow > WINDOW_MAX) revert BadWindow(config.challengeWindow);
        bytes32 attestorsHash = _checked(config.attestors, config.threshold);
        runId = ++runs;
        Run storage run = _runs[runId];
        run.owner = msg.sender;
        run.challengeWindow = config.challengeWindow;
        run.token = config.token;
        run.attestorsHash = attestorsHash;
        emit RunCreated(
            runId,
            msg.sender,
            config.token,
            config.challengeWindow,
            config.configHash,
            config.datasetRoot
        );
        emit AttestorsChanged(runId, config.threshold, config.attestors, uint64(block.timestamp));
    }

    /// @notice Anybody may fund a run that is not finished. What arrives counts, not what was sent:
    ///         some tokens keep a fee.
    function fund(uint64 runId, uint256 amount) external {
        _fund(runId, amount);
    }

    /// @notice `fund` with the token's own signed approval (ERC-2612) instead of an earlier one.
    function fundWithPermit(
        uint64 runId,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        // Whoever sees the permit may use it first. Then the allowance is there all the same.
        try IERC20Permit(address(_run(runId).token)).permit(
            msg.sender, address(this), amount, deadline, v, r, s
        ) {} catch {}
        _fund(runId, amount);
    }

    function _fund(uint64 runId, uint256 amount) private nonReentrant {
        Run storage run = _run(runId);
        if (run.finishedAt != 0) revert AlreadyFinished(runId);
        IERC20 token = run.token;
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received == 0) revert NothingReceived();
        // Reverts if it does not fit in 128 bits: checked arithmetic on the cast's own check.
        run.funded = _toUint128(uint256(run.funded) + received);
        emit RunFunded(runId, msg.sender, received);
    }

    /// @notice Other attestors, from a challenge window on: whoever must object has that long. As
    ///         many of those that count now as for a settlement must consent: else an owner could
    ///         sign away what is final and not claimed yet.
    function setAttestors(
        uint64 runId,
        address[] calldata attestors,
        uint32 threshold,
        Settlement.Endorsement calldata consent
    ) external onlyOwner(runId) {
        Run storage run = _runs[runId];
        bytes32 next = _checked(attestors, threshold);
        bytes32 current = _attestorsHash(run);
        bytes32 digest = settlement.rotationDigest(runId, next, run.nextAttestorsFrom);
        settlement.requireSigned(digest, current, consent);
        run.attestorsHash = current;
        run.nextAttestorsHash = next;
        uint64 from = uint64(block.timestamp) + run.challengeWindow;
        run.nextAttestorsFrom = from;
        emit AttestorsChanged(runId, threshold, attestors, from);
    }

    /// @notice A paused run takes no settlements. What was posted becomes final, and is paid. A
    ///         finished one cannot be paused: its last settlement is the workers' right.
    function setPaused(uint64 runId, bool paused) external onlyOwner(runId) {
        Run storage run = _runs[runId];
        if (run.finishedAt != 0) revert AlreadyFinished(runId);
        run.paused = paused;
        emit RunPaused(runId, paused);
    }

    /// @notice Settlements may be posted for two more challenge windows, paused or not: in the first
    ///         an earlier one may still be pending, the second is for the last one.
    function finish(uint64 runId, bytes32 finalModelRoot) external onlyOwner(runId) {
        Run storage run = _runs[runId];
        if (run.finishedAt != 0) revert AlreadyFinished(runId);
        run.finishedAt = uint64(block.timestamp);
        run.paused = false;
        emit RunFinished(runId, finalModelRoot);
    }

    /// @notice Gives back what no settlement credits: three windows after `finish`, two in which the
    ///         last settlement may be posted, and one in which it may be challenged.
    function reclaimUnspent(uint64 runId) external onlyOwner(runId) nonReentrant {
        Run storage run = _runs[runId];
        if (run.finishedAt == 0) revert NotFinished(runId);
        uint64 availableAt = run.finishedAt + 3 * run.challengeWindow + 1;
        if (block.timestamp < availableAt) revert TooEarly(availableAt);
        (, uint128 total,) = settlement.settled(runId);
        uint128 unspent = run.funded - total;
        if (unspent == 0) revert NothingUnspent();
        run.funded = total;
        emit UnspentReclaimed(runId, unspent);
        run.token.safeTransfer(run.owner, unspent);
    }

    /// @notice Pays from a run's own money. Only `rewards`, which has checked whose it is.
    /// @return whether the token did it: a receiver that the token refuses must stop nobody else
    function pay(uint64 runId, address to, uint128 amount) external nonReentrant returns (bool) {
        if (msg.sender != address(rewards)) revert NotRewards(msg.sender);
        Run storage run = _runs[runId];
        // Per run, never the contract's balance: one run cannot spend another one's money.
        assert(uint256(run.paid) + amount <= run.funded);
        run.paid += amount;
        if (run.token.trySafeTransfer(to, amount)) return true;
        run.paid -= amount;
        return false;
    }

    function getRun(uint64 runId) external view returns (Run memory) {
        return _run(runId);
    }

    /// @notice What a settlement is checked against. One call, since each costs gas.
    /// @return attestorsHash of the attestors that count now
    /// @return funded        what settlements may credit at most
    /// @return window        seconds until a posted settlement is final
    /// @return isOpen        whether settlements are taken now
    function settlementFacts(uint64 runId)
        external
        view
        returns (bytes32 attestorsHash, uint128 funded, uint64 window, bool isOpen)
    {
        Run storage run = _run(runId);
        window = run.challengeWindow;
        uint64 finishedAt = run.finishedAt;
        bool isOver = finishedAt != 0 && block.timestamp > finishedAt + 2 * window;
        return (_attestorsHash(run), run.funded, window, !run.paused && !isOver);
    }

    function _run(uint64 runId) private view returns (Run storage run) {
        run = _runs[runId];
        if (run.owner == address(0)) revert NoSuchRun(runId);
    }

    function _attestorsHash(Run storage run) private view returns (bytes32) {
        uint64 from = run.nextAttestorsFrom;
        bool isNext = from != 0 && block.timestamp >= from;
        return isNext ? run.nextAttestorsHash : run.attestorsHash;
    }

    function _checked(address[] calldata attestors, uint32 threshold)
        private
        pure
        returns (bytes32)
    {
        uint256 count = attestors.length;
        if (count == 0 || count > ATTESTORS_MAX) revert BadAttestors();
        if (threshold == 0 || threshold > count) revert BadAttestors();
        address previous = address(0);
        for (uint256 i = 0; i < count; i++) {
            if (attestors[i] <= previous) revert BadAttestors();
            previous = attestors[i];
        }
        return keccak256(abi.encode(threshold, attestors));
    }

    function _toUint128(uint256 value) private pure returns (uint128) {
        assert(value <= type(uint128).max);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint128(value);
    }
}
