// A GPU that draws the page too must not be held for long: before the first round a step is tried,
// and where one submission of it lasts too long, fewer sequences are computed at once.
// Not the time between steps: that is the power slider's (device-work.ts).
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import type { StatefulRuntime } from "@manyhands/engine/runtime/runtime";
import {
  deviceStepper,
  hostStepper,
  type MakeStepper,
  type Stepper,
  type StepperRequest,
} from "../compute/stepper.ts";
import { longestSubmission } from "./gpu-submissions.ts";

/** Six frames that are late are seen; more is a page that stutters. */
const SUBMISSION_MS_MAX = 100;

/** Sequences at once, and how long the longest submission of a step was. */
export type Trial = { readonly microBatch: number; readonly ms: number };

export type GentleOptions = {
  readonly runtime: StatefulRuntime;
  readonly submissionMsMax?: number;
  /** What was tried, in order; the last one is used. */
  readonly onTrial?: ((trial: Trial) => void) | undefined;
};

/** The largest divisor of a batch that is at most so large, and smaller than before. */
export function smallerMicroBatch(batch: number, before: number, share: number): number {
  const wanted = Math.min(before - 1, Math.floor(before * share));
  for (let size = Math.max(1, wanted); size > 1; size--) if (batch % size === 0) return size;
  return 1;
}

/**
 * The whole batch at once with the state on the GPU; else pieces of it, with the state in this
 * process.
 */
export function gentleStepper(options: GentleOptions): MakeStepper {
  const { runtime, submissionMsMax = SUBMISSION_MS_MAX, onTrial } = options;
  return async (request) => {
    const { sequences } = request.batch;
    let stepper = await deviceStepper(runtime)(request);
    for (let microBatch = sequences; ; ) {
      const ms = await longestOfStep(stepper, request);
      onTrial?.({ microBatch, ms });
      if (ms <= submissionMsMax || microBatch === 1) return stepper;
      await stepper.dispose();
      microBatch = smallerMicroBatch(sequences, microBatch, submissionMsMax / ms);
      stepper = await inPieces(runtime, request, microBatch);
    }
  };
}

async function inPieces(
  runtime: StatefulRuntime,
  request: StepperRequest,
  microBatch: number,
): Promise<Stepper> {
  const pieces = { ...request, microBatch };
  return { ...(await hostStepper(runtime)(pieces)), microBatch };
}

/** Of the second step: the first one waits for shaders too. Nothing of either stays. */
async function longestOfStep(stepper: Stepper, { model, batch }: StepperRequest): Promise<number> {
  await stepper.load(initialWeights(model, 0));
  const tokens = new Int32Array(batch.sequences * (batch.contextLength + 1));
  const step = () => stepper.step(tokens, { learningRateScale: 0 });
  await step();
  const { ms } = await longestSubmission(step);
  stepper.resetOptimizer();
  return ms;
}
