// The loop of fine-tuning: steps, validations, checkpoints, pauses. It knows no terminal and no
// files: whoever calls it shows the progress and keeps the checkpoints.
import { assert } from "@manyhands/base/assert";
import type { TextBatch, TextBatches } from "@manyhands/engine/data/text-batches";
import type { TextData } from "@manyhands/engine/data/text-data";
import type { Tuner, TuneState } from "@manyhands/engine/train/tuner";
import type { History, LossPoint } from "./checkpoint-file.ts";
import type { Recipe } from "./recipe.ts";
import { rateShare } from "./schedule.ts";

export type StepReport = {
  /** Steps taken, this one included. */
  readonly step: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
  readonly ms: number;
};

export type TrainingHooks = {
  readonly onStep: (report: StepReport) => void;
  readonly onValidation: (point: LossPoint) => void;
  readonly save: (state: TuneState, history: History) => Promise<void>;
  /** Resolves at once, or when a pause is over. */
  readonly resumed: () => Promise<void>;
  readonly isPaused: () => boolean;
  /** Monotonic, in milliseconds. */
  readonly now: () => number;
};

export type TrainingOptions = {
  readonly recipe: Recipe;
  readonly tuner: Tuner;
  readonly data: TextData;
  readonly history: History;
  readonly evalEvery: number;
  readonly saveEvery: number;
  /** The end is asked for: after the step in progress the state is saved. */
  readonly stop: AbortSignal;
  readonly hooks: TrainingHooks;
};

export type TrainingEnd = { readonly finished: boolean; readonly history: History };

/** Rows of validation that are measured: enough for the third digit, few enough to do often. */
const VALIDATION_ROWS_MAX = 256;

export const EMPTY_HISTORY: History = { train: [], validation: [], trainingMs: 0, tokens: 0 };

/** @throws DivergedError, CheckpointError */
export async function train(options: TrainingOptions): Promise<TrainingEnd> {
  const { recipe, tuner, hooks, stop, evalEvery, saveEvery } = options;
  const sitting = new Sitting(options);
  if (tuner.stepsTaken === 0 && sitting.history().validation.length === 0) {
    await sitting.validate();
  }
  let saved = tuner.stepsTaken;
  while (tuner.stepsTaken < recipe.steps && !stop.aborted) {
    await sitting.step();
    const taken = tuner.stepsTaken;
    const isLast = taken === recipe.steps;
    if ((taken % evalEvery === 0 || isLast) && !stop.aborted) await sitting.validate();
    if (taken % saveEvery === 0 || isLast || stop.aborted || hooks.isPaused()) {
      await hooks.save(tuner.state(), sitting.history());
      saved = taken;
    }
    await hooks.resumed();
  }
  if (saved !== tuner.stepsTaken) await hooks.save(tuner.state(), sitting.history());
  return { finished: tuner.stepsTaken >= recipe.steps, history: sitting.history() };
}

class Sitting {
  readonly #options: TrainingOptions;
  readonly #train: LossPoint[];
  readonly #validation: LossPoint[];
  #tokens: number;
  #trainingMs: number;

  constructor(options: TrainingOptions) {
    this.#options = options;
    const { history, tuner } = options;
    this.#train = [...history.train];
    this.#validation = [...history.validation];
    this.#tokens = history.tokens;
    this.#trainingMs = history.trainingMs;
    assert(this.#train.length === tuner.stepsTaken, "a history has every step taken");
  }

  history(): History {
    return {
      train: this.#train,
      validation: this.#validation,
      trainingMs: Math.round(this.#trainingMs),
      tokens: this.#tokens,
    };
  }

  async step(): Promise<void> {
    const { recipe, tuner, data, hooks } = this.#options;
    const index = tuner.stepsTaken;
    const learningRate = recipe.learningRate * rateShare(recipe.schedule, index, recipe.steps);
    const started = hooks.now();
    const { loss, gradientNorm, tokens } = await tuner.step(
      stepBatches(recipe, data.train, index),
      {
        learningRate,
      },
    );
    const ms = hooks.now() - started;
    this.#tokens += tokens;
    this.#trainingMs += ms;
    this.#train.push({ step: index + 1, tokens: this.#tokens, loss });
    hooks.onStep({ step: index + 1, loss, gradientNorm, learningRate, ms });
  }

  async validate(): Promise<void> {
    const { recipe, tuner, data, hooks } = this.#options;
    if (!data.validation) return;
    const started = hooks.now();
    const loss = await validationLoss(tuner, data.validation, recipe.microBatch);
    this.#trainingMs += hooks.now() - started;
    const point = { step: tuner.stepsTaken, tokens: this.#tokens, loss };
    this.#validation.push(point);
    hooks.onValidation(point);
  }
}

/** The micro-batches of a step: consecutive rows of the seeded order. */
export function stepBatches(recipe: Recipe, rows: TextBatches, step: number): TextBatch[] {
  const { batch, microBatch, sequence } = recipe;
  assert(batch % microBatch === 0, "a batch is whole micro-batches");
  return Array.from({ length: batch / microBatch }, (_, part) => {
    const size = microBatch * sequence;
    const out = { tokens: new Int32Array(size), targets: new Int32Array(size) };
    rows.fill(step * batch + part * microBatch, microBatch, out);
    return out;
  });
}

/** Mean loss over the held-out tokens, or of the first rows if there are many. */
async function validationLoss(
  tuner: Tuner,
  validation: TextBatches,
  microBatch: number,
): Promise<number> {
  let [sum, tokens, rows] = [0, 0, 0];
  for (const batch of validation.inOrder(microBatch)) {
    if (rows >= VALIDATION_ROWS_MAX) break;
    const measured = await tuner.evaluate(batch);
    if (measured.tokens > 0) sum += measured.loss * measured.tokens;
    tokens += measured.tokens;
    rows += microBatch;
  }
  return sum / tokens;
}
