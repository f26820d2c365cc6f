// The stepper of a GPU that draws the page too: a step is tried before the first round, and where
// it holds the GPU for too long, the batch is computed in pieces.
// Not the time between steps: that is the power slider's (device-work.ts).
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import type { StatefulRuntime } from "@manyhands/engine/runtime/runtime";
import { type HeldGpu, openGently, type Trial } from "../compute/held-gpu.ts";
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

/** The page's GPU, by the submissions of this thread. */
export function pageGpu(onTrial: (trial: Trial) => void): HeldGpu {
  const longestMs = async (work: () => Promise<unknown>): Promise<number> =>
    (await longestSubmission(work)).ms;
  return { msMax: SUBMISSION_MS_MAX, longestMs, onTrial };
}

/**
 * The whole batch at once with the state on the GPU; else pieces of it, with the state in this
 * process.
 */
export function gentleStepper(runtime: StatefulRuntime, gpu: HeldGpu): MakeStepper {
  return (request) => {
    const { sequences } = request.batch;
    return openGently(gpu, sequences, {
      open: (microBatch) =>
        microBatch === sequences
          ? deviceStepper(runtime)(request)
          : inPieces(runtime, request, microBatch),
      step: (stepper) => idleStep(stepper, request),
      close: (stepper) => stepper.dispose(),
    });
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

/** A step of which nothing stays: the run's weights are loaded afterwards. */
async function idleStep(stepper: Stepper, { model, batch }: StepperRequest): Promise<void> {
  await stepper.load(initialWeights(model, 0));
  const tokens = new Int32Array(batch.sequences * (batch.contextLength + 1));
  await stepper.step(tokens, { learningRateScale: 0 });
  stepper.resetOptimizer();
}
