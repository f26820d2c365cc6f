// Every bound of the protocol, in one place; limits.test.ts tests each at the limit and one past.
// Not the reasons: docs/limits.md gives them, with what happens beyond.
import { assert } from "@manyhands/base/assert";

/** Workers on record in one run, gone ones included: bounds state, joins and credit leaves. */
export const WORKERS_MAX = 4_096;

/** Fragments (named tensors) of one model. */
export const FRAGMENTS_MAX = 8_192;

/** A dimension's extent, and a tensor's rank. */
export const DIMENSION_MAX = 1 << 24;
export const RANK_MAX = 4;

/** An adapter's rank, and the names of matrices that get one. */
export const ADAPTER_RANK_MAX = 4_096;
export const ADAPTER_TARGETS_MAX = 2_048;

/** Files of a data set. */
export const DATA_FILES_MAX = 1_024;

/** Inner steps of one update, and the mean time of one of them: an hour. */
export const INNER_STEPS_MAX = 10_000;
export const INNER_STEP_MICROS_MAX = 3_600_000_000;

/** Sequences of one inner step, and tokens of one sequence. */
export const BATCH_SEQUENCES_MAX = 4_096;
export const CONTEXT_LENGTH_MAX = 1 << 17;

/** Bytes of one update blob: 8 bits for 4 · 10⁹ parameters. */
export const UPDATE_BYTES_MAX = 4_000_000_000;

/** Bytes of one message from a worker. A commitment that names 8192 fragments fits. */
export const MESSAGE_BYTES_MAX = 64 * 1024;

/** Bytes of one message from the coordinator: `welcome` carries the run and the newest rounds. */
export const SERVER_MESSAGE_BYTES_MAX = 24 * 1024 * 1024;

/** Closed rounds of one `welcome`. */
export const CLOSED_ROUNDS_MAX = 4_096;

/** Validation windows of one shared evaluation. */
export const EVALUATE_WINDOWS_MAX = 4_096;

/** Characters of names that people choose. */
export const NAME_CHARS_MAX = 64;

/** Rounds whose assignments are remembered, so that a late update can be checked. */
export const STALENESS_MAX = 8;

/** A weight is tokens times a factor ≤ STALENESS_ONE that falls with the update's age. */
export const STALENESS_ONE = 1_024;

/** Tokens of one update, so that the weights of a whole round add up exactly: see below. */
export const UPDATE_TOKENS_MAX = 2 ** 31;

/** Tokens of a budget: what is committed stays exact, one round beyond the budget included. */
export const BUDGET_TOKENS_MAX = 2 ** 50;

/** Keys that may append to one run's log. */
export const AUTHORITY_KEYS_MAX = 16;

/** Carried states (error feedback, momentum …) of one worker. */
export const CARRIED_STATES_MAX = 8;

/** Who may attest one run's settlements, and how long a challenge may take: as in the contracts. */
export const ATTESTORS_MAX = 32;
export const CHALLENGE_SECONDS_MAX = 2_592_000;

/** Who may score one run's workers, with how much stake, and how high. */
export const VALIDATORS_MAX = 32;
export const STAKE_MAX = 1_000_000_000_000;
export const SCORE_MAX = 1_000_000_000;

/** Schedule positions are parts per million of the budget. */
export const POSITION_END = 1_000_000;

/** Shares are basis points. */
export const BPS = 10_000;

assert(
  WORKERS_MAX * UPDATE_TOKENS_MAX * STALENESS_ONE <= 2 ** 53,
  "the weights of a round add up to an exact integer",
);

assert(
  3 * INNER_STEPS_MAX * INNER_STEP_MICROS_MAX < 2 ** 53,
  "adaptive H multiplies in exact integers",
);

const COVERED_FRAGMENT_TEXT_BYTES = 5; // four digits and a comma
assert(
  FRAGMENTS_MAX * COVERED_FRAGMENT_TEXT_BYTES + 8_192 <= MESSAGE_BYTES_MAX,
  "a commitment that lists every fragment, with 8 KiB for its other fields, fits into one message",
);
