// Who does what in a round, as a function of the state and the round's seed: inner steps, samples,
// a share of the evaluation. Not the samples' text: the engine's sampler maps numbers to windows.
import { assert } from "@manyhands/base/assert";
import { compareText, fromHex, toHex } from "@manyhands/base/bytes";
import { hashLeaf } from "@manyhands/base/hash";
import type { WorkerId } from "./keys.ts";
import { BPS } from "./limits.ts";
import type { Assignment } from "./messages.ts";
import type { Dataset, FrozenRun } from "./run-config.ts";
import type { RunState, WorkerRecord } from "./state.ts";

/** A worker may take up to 3/2 of the median worker's time before it gets fewer inner steps. */
const PATIENCE_NUMERATOR = 3;
const PATIENCE_DENOMINATOR = 2;

/** The assignments of one round, and how many samples they use up. */
export type Assignments = {
  readonly assignments: ReadonlyMap<WorkerId, Assignment>;
  readonly sampleCount: number;
};

/**
 * The assignments of the round that `seed` opens: contiguous ranges of samples from the cursor on,
 * in the seed's order of the active workers.
 *
 * **Post** ranges are disjoint and leave no gap; each worker's tokens are steps × tokensPerStep.
 * **Bound** one hash per active worker, and a sort.
 *
 * @source docs/spec §3.5
 */
export function assignmentsOf(state: RunState, seed: string): Assignments {
  const { run } = state;
  const workers = orderOf(state, seed);
  const median = medianInnerStepMicros(workers);
  const shares = evaluationShares(run, state.roundsClosed, workers.length);
  const assignments = new Map<WorkerId, Assignment>();
  let sample = state.sampleCursor;
  for (const [index, worker] of workers.entries()) {
    const innerSteps = innerStepsFor(run.recipe.innerSteps, worker.innerStepMicros, median);
    const sampleCount = innerSteps * run.recipe.batchSequences;
    const windows = shares[index] ?? [];
    const evaluate = windows.length > 0 ? { windows } : null;
    assignments.set(worker.workerId, { innerSteps, firstSample: sample, sampleCount, evaluate });
    sample += sampleCount;
  }
  assert(Number.isSafeInteger(sample), `sample numbers are exact, found ${sample}`);
  return { assignments, sampleCount: sample - state.sampleCursor };
}

/** The active workers by H("manyhands/assignment-order/v1", seed, workerId). */
function orderOf(state: RunState, seed: string): WorkerRecord[] {
  const domain = "manyhands/assignment-order/v1";
  const seedBytes = fromHex(seed);
  return [...state.workers.values()]
    .filter((worker) => worker.active)
    .map((worker) => ({
      worker,
      key: toHex(hashLeaf(domain, seedBytes, fromHex(worker.workerId))),
    }))
    .sort((a, b) => compareText(a.key, b.key))
    .map(({ worker }) => worker);
}

/**
 * The upper median: with an even count a slow liar gives the others more steps, never a fast one
 * fewer. Null while no active worker's speed is known.
 */
function medianInnerStepMicros(workers: readonly WorkerRecord[]): number | null {
  const known = workers
    .flatMap((worker) => (worker.innerStepMicros === null ? [] : [worker.innerStepMicros]))
    .sort((a, b) => a - b);
  return known[Math.floor(known.length / 2)] ?? null;
}

/**
 * clamp(floor(H · 3/2 · median ÷ mine), 1, H); H while either speed is unknown.
 *
 * **Why** a slow worker sends less, and nobody waits for it.
 */
export function innerStepsFor(
  innerSteps: number,
  mineMicros: number | null,
  medianMicros: number | null,
): number {
  if (mineMicros === null || medianMicros === null) return innerSteps;
  const dividend = innerSteps * PATIENCE_NUMERATOR * medianMicros;
  const fitting = Math.floor(dividend / (PATIENCE_DENOMINATOR * mineMicros));
  return Math.min(innerSteps, Math.max(1, fitting));
}

/** Windows of contextLength targets that predict every validation token but the first. */
export function validationWindowCount(dataset: Dataset, contextLength: number): number {
  const bytes = dataset.files.reduce((sum, file) => sum + file.byteLength, 0);
  const trained = (BigInt(bytes) * BigInt(BPS - dataset.validationBps)) / BigInt(BPS);
  const predicted = bytes - Number(trained) - 1;
  return Math.max(0, Math.ceil(predicted / contextLength));
}

/** Windows, spread evenly over the validation split, dealt out to so many workers in turn. */
function evaluationShares(run: FrozenRun, round: number, workerCount: number): number[][] {
  const shares = Array.from({ length: workerCount }, (): number[] => []);
  if (round % run.rounds.evaluateEvery !== 0 || workerCount === 0) return shares;
  const windows = validationWindowCount(run.dataset, run.recipe.contextLength);
  const count = Math.min(windows, run.rounds.evaluateWindows);
  for (let i = 0; i < count; i++) {
    const window = Number((BigInt(i) * BigInt(windows)) / BigInt(count));
    shares[i % workerCount]?.push(window);
  }
  return shares;
}
