// A run that trains adapters: steps and measurements over the frozen base that the run names, in
// its stored form. The same on every runtime; the base stays in this process's memory.
import { InputError } from "@manyhands/base/errors";
import { MemoryLimitError } from "@manyhands/engine/plan/plan-training";
import { decodeBase } from "@manyhands/engine/quantize/base-file";
import type { Runtime } from "@manyhands/engine/runtime/runtime";
import type { BatchShape } from "@manyhands/engine/train/batch-shape";
import { type Evaluation, windowCount } from "@manyhands/engine/train/evaluate";
import { createFineTuner, type FineTuner } from "@manyhands/engine/train/fine-tuner";
import type { StepResult } from "@manyhands/engine/train/trainer";
import { TUNE_DEFAULTS, type TuneBatch } from "@manyhands/engine/train/tuner";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { type AdapterMemory, planAdapters } from "./adapter-plan.ts";
import { type HeldGpu, openGently } from "./held-gpu.ts";
import type { Stepper, TrainingParts } from "./stepper.ts";

export type AdapterDevice = AdapterMemory & {
  readonly runtime: Runtime;
  readonly threads: number;
  /** Awaited after each block of a step: lets the event loop have its turn. */
  readonly turn?: (() => Promise<void>) | undefined;
  /** A GPU that draws too: its steps are tried, and made smaller where they hold it for long. */
  readonly gpu?: HeldGpu | undefined;
};

/**
 * @throws InputError       if the base is not the run's
 * @throws MemoryLimitError if not even one sequence at a time surely does not fit
 */
export async function adapterParts(
  run: FrozenRun,
  baseBytes: Uint8Array,
  device: AdapterDevice,
): Promise<TrainingParts> {
  const { model, recipe, tuning, seed } = run;
  if (tuning?.method !== "lora") throw new InputError("the run trains no adapters, but has a base");
  const { adapter } = tuning;
  const plan = planAdapters(run, tuning, device);
  if (plan.verdict === "tooLarge") throw new MemoryLimitError(plan);
  // Its bytes were checked against their name when they came.
  const base = decodeBase(baseBytes, model);
  const { weightDecay, gradientClip: gradientNormMax } = recipe;
  const open = (sequences: number): Promise<FineTuner> =>
    createFineTuner({
      ...{ runtime: device.runtime, threads: device.threads, turn: device.turn },
      ...{ base, adapter, seed },
      batch: { sequences, contextLength: recipe.contextLength },
      optimizer: { ...TUNE_DEFAULTS, weightDecay, gradientNormMax },
    });
  const tried = { open, step: idleStep, close: (tuner: FineTuner) => tuner.close() };
  const tuner = await (device.gpu
    ? openGently(device.gpu, plan.microBatch, tried)
    : open(plan.microBatch));
  const stepper = adapterStepper(tuner, recipe.learningRate);
  return { stepper, evaluator: adapterEvaluator(tuner) };
}

/** One step of which nothing stays. */
async function idleStep(tuner: FineTuner): Promise<void> {
  const { sequences, contextLength } = tuner.batch;
  const before = tuner.state();
  const tokens = new Int32Array(sequences * contextLength);
  await tuner.step({ tokens, targets: tokens }, { learningRate: 0 });
  tuner.restore(before);
}

function adapterStepper(tuner: FineTuner, learningRate: number): Stepper {
  let last: StepResult = { loss: 0, gradientNorm: 0 };
  const withWeights = (state: Omit<ReturnType<FineTuner["state"]>, "weights">): void =>
    tuner.restore({ ...state, weights: tuner.weights.slice() });
  return {
    plan: undefined,
    microBatch: tuner.batch.sequences,
    load: async (weights) => tuner.weights.set(weights),
    async step(tokens, { learningRateScale }) {
      const batches = batchesOf(tokens, tuner.batch);
      // Prompts may be longer than rows: then there is nothing to learn, and nothing is.
      if (!batches.some(({ targets }) => targets.some((id) => id >= 0))) return last;
      last = await tuner.step(batches, { learningRate: learningRate * learningRateScale });
      return last;
    },
    weights: async () => tuner.weights,
    optimizer() {
      const { step, moment1, moment2 } = tuner.state();
      return { step, moment1, moment2 };
    },
    loadOptimizer: withWeights,
    resetOptimizer() {
      const zeros = (): Float32Array => new Float32Array(tuner.weights.length);
      withWeights({ step: 0, moment1: zeros(), moment2: zeros() });
    },
    dispose: () => tuner.close(),
  };
}

/** A token, which the data writes as −1 − id where its prediction is not counted. */
function idOf(token: number): number {
  return token < 0 ? -1 - token : token;
}

function targetOf(token: number): number {
  return Math.max(-1, token);
}

/** Rows of T + 1 tokens as micro-batches: T ids, and the T that follow. */
function batchesOf(tokens: Int32Array, { sequences, contextLength }: BatchShape): TuneBatch[] {
  const row = contextLength + 1;
  const size = sequences * contextLength;
  return Array.from({ length: tokens.length / (row * sequences) }, (_, part) => {
    const batch = { tokens: new Int32Array(size), targets: new Int32Array(size) };
    for (let b = 0; b < sequences; b++) {
      const own = tokens.subarray((part * sequences + b) * row, (part * sequences + b + 1) * row);
      batch.tokens.set(own.subarray(0, contextLength).map(idOf), b * contextLength);
      batch.targets.set(own.subarray(1).map(targetOf), b * contextLength);
    }
    return batch;
  });
}

/** As the engine's evaluator: windows of T inputs, the last one shorter. */
function adapterEvaluator(tuner: FineTuner): TrainingParts["evaluator"] {
  return {
    async evaluate(weights, tokens, windows): Promise<Evaluation> {
      const { sequences, contextLength } = tuner.batch;
      const count = windowCount(tokens.length, contextLength);
      const chosen = windows ?? Array.from({ length: count }, (_, index) => index);
      tuner.weights.set(weights);
      let [sum, predicted] = [0, 0];
      for (let first = 0; first < chosen.length; first += sequences) {
        const batch = windowsOf(tokens, chosen.slice(first, first + sequences), tuner.batch);
        const part = await tuner.evaluate(batch);
        if (part.tokens > 0) sum += part.loss * part.tokens;
        predicted += part.tokens;
      }
      return { loss: sum / predicted, tokens: predicted };
    },
    // The tuner is the stepper's.
    dispose: () => Promise.resolve(),
  };
}

function windowsOf(
  tokens: Int32Array,
  windows: readonly number[],
  { sequences, contextLength }: BatchShape,
): TuneBatch {
  const size = sequences * contextLength;
  const batch = { tokens: new Int32Array(size), targets: new Int32Array(size).fill(-1) };
  for (const [row, window] of windows.entries()) {
    const start = window * contextLength;
    const end = Math.min(start + contextLength, tokens.length - 1);
    batch.tokens.set(tokens.subarray(start, end).map(idOf), row * contextLength);
    batch.targets.set(tokens.subarray(start + 1, end + 1).map(targetOf), row * contextLength);
  }
  return batch;
}
