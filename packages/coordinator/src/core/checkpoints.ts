// Where the stored states of a run are: the initial one and the newest two. Kept as a side value of
// the log, because a checkpoint is only a shortcut: every state follows from the initial weights
// and the log.
import {
  type Decoded,
  describe,
  hex,
  integer,
  list,
  nullable,
  object,
} from "@manyhands/base/decode";
import type { CoreBlobs } from "../blobs/blob-store.ts";
import { CorruptLogError } from "../errors.ts";
import type { Log } from "../log/log.ts";

const checkpointDecoder = object({
  /** Rounds closed. */
  rounds: integer(0),
  stateRoot: hex(32),
  /** Blobs: little-endian f32. Feedback is null where it is all zero: before the first round. */
  weights: hex(32),
  feedback: nullable(hex(32)),
  byteLength: integer(4),
});
export type Checkpoint = Decoded<typeof checkpointDecoder>;

const checkpointsDecoder = list(checkpointDecoder, { max: 16 });

const KEY = "checkpoints";
const NEWEST_KEPT = 2;

/** The stored checkpoints, oldest first. @throws CorruptLogError */
export function loadCheckpoints(log: Pick<Log, "sideValue">): readonly Checkpoint[] {
  const value = log.sideValue(KEY);
  return value === null ? [] : decodeCheckpoints(value);
}

export function decodeCheckpoints(value: unknown): readonly Checkpoint[] {
  const decoded = checkpointsDecoder(value);
  if (decoded.ok) return decoded.value;
  throw new CorruptLogError(null, `the list of checkpoints is ${describe(value)}`);
}

/** The blobs of a checkpoint. */
export function checkpointBlobs(checkpoint: Checkpoint): readonly string[] {
  const { weights, feedback } = checkpoint;
  return feedback === null ? [weights] : [weights, feedback];
}

/**
 * Adds a checkpoint whose blobs are stored already, and forgets what is neither the first nor among
 * the newest.
 *
 * @returns the list, and the blobs that nothing in it names any more
 */
export function addCheckpoint(
  checkpoints: readonly Checkpoint[],
  added: Checkpoint,
  log: Pick<Log, "putSideValue">,
): { readonly checkpoints: readonly Checkpoint[]; readonly dropped: readonly string[] } {
  const all = [...checkpoints.filter(({ rounds }) => rounds !== added.rounds), added].sort(
    (a, b) => a.rounds - b.rounds,
  );
  const kept = all.filter((_, index) => index === 0 || index >= all.length - NEWEST_KEPT);
  const named = new Set(kept.flatMap(checkpointBlobs));
  const dropped = checkpoints.flatMap(checkpointBlobs).filter((root) => !named.has(root));
  log.putSideValue(KEY, kept);
  return { checkpoints: kept, dropped };
}

/** Stores a state's blobs; the list has to be told (addCheckpoint). */
export function storeCheckpoint(
  state: {
    readonly rounds: number;
    readonly stateRoot: string;
    readonly weightsBytes: Uint8Array;
    readonly feedbackBytes: Uint8Array | null;
  },
  blobs: CoreBlobs,
): Checkpoint {
  const { rounds, stateRoot, weightsBytes, feedbackBytes } = state;
  const weights = blobs.write(weightsBytes);
  const feedback = feedbackBytes === null ? null : blobs.write(feedbackBytes);
  return { rounds, stateRoot, weights, feedback, byteLength: weightsBytes.length };
}
