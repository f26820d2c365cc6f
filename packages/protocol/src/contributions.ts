// What a close takes: the commitments in their order, each with its integer weight.
// Not the aggregation itself, which reads the blobs.
import { assert, defined } from "@manyhands/base/assert";
import { STALENESS_MAX, STALENESS_ONE } from "./limits.ts";
import { compareCommitments, creditRoot, updatesRoot } from "./roots.ts";
import type { Contribution, RunState, WorkerRecord } from "./state.ts";

/** floor(1024 · (1 + s)^−½) for s = 0, 1, …: literal, because no root is taken in consensus. */
const STALENESS_FACTORS = [1_024, 724, 591, 512, 457, 418, 387, 362, 341] as const;

assert(STALENESS_FACTORS[0] === STALENESS_ONE, "an update in time has the whole weight");
assert(STALENESS_FACTORS.length === STALENESS_MAX + 1, "every allowed staleness has a factor");

const ROUND_DIGITS = 10;

/** The factor, in 1024ths, of an update that closes `staleness` rounds after its own. */
function stalenessFactor(staleness: number): number {
  return defined(STALENESS_FACTORS[staleness], `no factor for a staleness of ${staleness}`);
}

/**
 * The contributions of the close in progress, ordered by worker and then by round.
 *
 * @source docs/spec §3.4
 */
export function contributionsOf(state: RunState): Contribution[] {
  return state.closing.toSorted(compareCommitments).map(({ workerId, update }) => ({
    id: `${workerId}:${String(update.round).padStart(ROUND_DIGITS, "0")}`,
    workerId,
    round: update.round,
    updateRoot: update.updateRoot,
    updateBytes: update.updateBytes,
    weight: update.tokens * stalenessFactor(state.roundsClosed - update.round),
  }));
}

/** The workers as they are once the close in progress has credited them. */
export function creditedWorkers(state: RunState): ReadonlyMap<string, WorkerRecord> {
  const workers = new Map(state.workers);
  for (const { workerId, update } of state.closing) {
    const worker = defined(workers.get(workerId), `${workerId} committed and is on record`);
    const credit = worker.credit + update.tokens;
    workers.set(workerId, { ...worker, credit, updateCount: worker.updateCount + 1 });
  }
  return workers;
}

/** The two roots of RoundClosed that follow from the state alone. */
export type ClosingRoots = { readonly updatesRoot: string; readonly creditRoot: string };

/** Valid until the next event: a worker that joins during the close enters the credit root. */
export function closingRoots(state: RunState): ClosingRoots {
  return {
    updatesRoot: updatesRoot(state.roundsClosed, state.closing),
    creditRoot: creditRoot(creditedWorkers(state).values()),
  };
}
