// Every bound of the protocol, in one place. docs/limits.md gives the reasons; limits.test.ts tests each at the limit
// and one past it.
import { assert } from "@manyhands/base/assert";

/** Workers on record in one run, gone ones included: bounds state, joins and credit leaves. */
export const WORKERS_MAX = 4_096;

/** Fragments (named tensors) of one model. */
export const FRAGMENTS_MAX = 8_192;

/** A dimension's extent, and a tensor's rank. */
export const DIMENSION_MAX = 1 << 24;
export const RANK_MAX = 4;

/** Files of a data set. */
export const DATA_FILES_MAX = 1_024;

/** Inner steps of one update. */
export const INNER_STEPS_MAX = 10_000;

/** Sequences of one inner step, and tokens of one sequence. */
export const BATCH_SEQUENCES_MAX = 4_096;
export const CONTEXT_LENGTH_MAX = 1 << 17;

/** Bytes of one update blob: 8 bits for 4 · 10⁹ parameters. */
export const UPDATE_BYTES_MAX = 4_000_000_000;

/** Bytes of one control message. A commitment that names every fragment of the largest model fits. */
export const MESSAGE_BYTES_MAX = 64 * 1024;

/** Characters of names that people choose. */
export const NAME_CHARS_MAX = 64;

/** Rounds whose assignments are remembered, so that a late update can be checked. */
export const STALENESS_MAX = 8;

/** Carried states (error feedback, momentum …) of one worker. */
export const CARRIED_STATES_MAX = 8;

/** Schedule positions are parts per million of the budget. */
export const POSITION_END = 1_000_000;

/** Shares are basis points. */
export const BPS = 10_000;

const COVERED_FRAGMENT_TEXT_BYTES = 5; // four digits and a comma
assert(
  FRAGMENTS_MAX * COVERED_FRAGMENT_TEXT_BYTES + 8_192 <= MESSAGE_BYTES_MAX,
  "a commitment that lists every fragment, with 8 KiB for its other fields, fits into one message",
);
