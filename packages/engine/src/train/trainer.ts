// A trainer: one model, one batch shape, one device. Tokens in, better weights out.
// It deliberately knows no rounds, no data files and no schedule.
import { assert } from "@manyhands/base/assert";
import { InputError, ManyhandsError } from "@manyhands/base/errors";
import { type ModelConfig, parameterCount } from "../model/config.ts";
import { MemoryLimitError, planTraining, type TrainingPlan } from "../plan/plan-training.ts";
import type { Recomputation } from "../plan/predict-memory.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { BatchShape } from "./batch-shape.ts";
import { createSource } from "./create-source.ts";
import { FlatMemory } from "./flat-memory.ts";
import type { GradientSource, MicroBatch } from "./gradient-source.ts";
import { Optimizer, type OptimizerState, type StepOptions } from "./optimizer.ts";
import type { OptimizerOptions } from "./options.ts";

export type TrainerOptions = {
  readonly runtime: Runtime;
  readonly model: ModelConfig;
  readonly optimizer: OptimizerOptions;
  readonly batch: BatchShape;
  /** Threads that compute. Default 1. */
  readonly threads?: number;
  /**
   * What the threads share: "operations", each of them, in one session; or "sequences", each thread
   * with a session and gradients of its own, where the runtime starts threads and there is a
   * sequence for each. The first is faster where the cores are free and takes a quarter less memory
   * (bench/results/engine.md), the second where other work holds them. Default "operations".
   */
  readonly sharing?: "operations" | "sequences";
  /** Sequences that are computed at once; divides batch.sequences. Default: all of them. */
  readonly microBatch?: number;
  /**
   * "blocks" keeps only the blocks' inputs and computes their insides twice: less memory, more
   * time, the same bits. Default "none".
   */
  readonly recomputation?: Recomputation;
  /**
   * How much memory the process may take. What of microBatch and recomputation is left open is then
   * chosen so that training fits, and the trainer's plan says what.
   */
  readonly memoryBytesMax?: number | undefined;
  /** What of it goes to an evaluator of the plan's micro-batch, and to the caller's own arrays. */
  readonly evaluates?: boolean;
  readonly otherBytes?: number;
};

export type StepResult = {
  /** Mean cross-entropy of the batch before the update, in nats per token. */
  readonly loss: number;
  /** The gradient's global norm before clipping. */
  readonly gradientNorm: number;
};

/** The loss or the gradient is not a finite number; the weights are as before the step. */
export class DivergedError extends ManyhandsError {
  override readonly name = "DivergedError";
}

type TrainerParts = {
  readonly source: GradientSource;
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly microBatch: number;
  readonly plan: TrainingPlan | undefined;
};

/** A model in training: weights and optimiser state of one device. Made by createTrainer. */
export class Trainer {
  /** The flat weights, live: write to them to load, read them after a step. */
  readonly weights: Float32Array;
  readonly model: ModelConfig;
  readonly batch: BatchShape;
  /** What was chosen to stay within memoryBytesMax, if that was given. */
  readonly plan: TrainingPlan | undefined;
  readonly #optimizer: Optimizer;
  readonly #source: GradientSource;
  readonly #gradients: Float32Array;
  readonly #ids: Int32Array;
  readonly #targets: Int32Array;
  #busy = false;

  constructor(options: TrainerOptions, optimizer: Optimizer, parts: TrainerParts) {
    const { model, batch } = options;
    this.model = model;
    this.batch = batch;
    this.plan = parts.plan;
    this.#optimizer = optimizer;
    this.#source = parts.source;
    this.weights = parts.weights;
    this.#gradients = parts.gradients;
    this.#ids = new Int32Array(parts.microBatch * batch.contextLength);
    this.#targets = new Int32Array(parts.microBatch * batch.contextLength);
  }

  /**
   * One step: loss and gradients of the batch, clipping, update of the weights in place.
   *
   * @param tokens B × (T + 1) ids, row by row: each row gives T inputs and their T next tokens
   * @throws       DivergedError if the loss or the gradient is not finite
   */
  async step(tokens: Int32Array, options: StepOptions = {}): Promise<StepResult> {
    assert(!this.#busy, "a trainer takes one step at a time");
    this.#busy = true;
    try {
      return await this.#takeStep(tokens, options);
    } finally {
      this.#busy = false;
    }
  }

  async #takeStep(tokens: Int32Array, options: StepOptions): Promise<StepResult> {
    const { loss } = await this.gradients(tokens);
    const gradientNorm = await this.#optimizer.update(this.weights, this.#gradients, options);
    if (!Number.isFinite(gradientNorm) || !Number.isFinite(loss)) {
      throw new DivergedError(`the loss is ${loss}, the gradient's norm ${gradientNorm}`, {
        hint: "lower the learning rate, or check the data",
      });
    }
    return { loss, gradientNorm };
  }

  /** Loss and gradients without an update; the gradients' array is reused by the next call. */
  async gradients(tokens: Int32Array): Promise<{ loss: number; gradients: Float32Array }> {
    const { sequences, contextLength } = this.batch;
    const row = contextLength + 1;
    assert(tokens.length === sequences * row, `a batch has ${sequences} × ${row} tokens`);
    const size = (this.#ids.length / contextLength) * row;
    let loss = 0;
    for (let start = 0; start < tokens.length; start += size) {
      this.#splitTokens(tokens.subarray(start, start + size));
      const mode = start === 0 ? "overwrite" : "add";
      loss += await this.#source.run({ ids: this.#ids, targets: this.#targets }, mode);
    }
    return { loss, gradients: this.#gradients };
  }

  #splitTokens(tokens: Int32Array): void {
    const { contextLength } = this.batch;
    const row = contextLength + 1;
    for (let b = 0; b * row < tokens.length; b++) {
      const window = tokens.subarray(b * row, (b + 1) * row);
      this.#ids.set(window.subarray(0, contextLength), b * contextLength);
      this.#targets.set(window.subarray(1), b * contextLength);
    }
  }

  /** A copy of the optimiser's state. */
  optimizerState(): OptimizerState {
    return this.#optimizer.state();
  }

  /** @throws InputError if the state belongs to another model or recipe */
  loadOptimizerState(state: OptimizerState): void {
    this.#optimizer.load(state);
  }

  resetOptimizer(): void {
    this.#optimizer.reset();
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#source.dispose(), this.#optimizer.dispose()]);
  }
}

/** Weights, gradients and two moments. */
const ARRAYS_ADAMW = 4;
/** Instead of a second moment: directions and updates. */
const ARRAYS_MUON = 5;
/** What rounding up to whole lanes may take. */
const SPARE = 4096;

/**
 * Builds and compiles everything that a step needs. The weights start as zeros: set them.
 *
 * @throws InputError   if the model's config is not a model, or microBatch does not divide a batch
 * @throws MemoryLimitError if training cannot fit in memoryBytesMax; nothing was allocated
 * @throws RuntimeError if the runtime rejects a graph
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const { runtime, model, batch, threads = 1 } = options;
  checkMicroBatch(options.microBatch ?? batch.sequences, batch.sequences);
  const team = options.sharing === "sequences" ? threads : 1;
  const limited = options.memoryBytesMax !== undefined;
  const plan = limited ? planTraining({ ...options, threads: team }) : undefined;
  if (plan?.verdict === "tooLarge") throw new MemoryLimitError(plan);
  const microBatch = plan?.microBatch ?? options.microBatch ?? batch.sequences;
  const recomputation = plan?.recomputation ?? options.recomputation ?? "none";
  const size = parameterCount(model);
  const memory = new FlatMemory(
    size * (options.optimizer.muon ? ARRAYS_MUON : ARRAYS_ADAMW) + SPARE,
  );
  const arrays = { weights: memory.floats(size), gradients: memory.floats(size), memory };
  const micro: MicroBatch = {
    model,
    sequences: microBatch,
    contextLength: batch.contextLength,
    share: microBatch / batch.sequences,
  };
  const device = { runtime, threads, team };
  const source = await createSource(device, { micro, recomputation, arrays });
  const optimizer = await Optimizer.create(runtime, options.optimizer, { model, threads, memory });
  return new Trainer(options, optimizer, { ...arrays, source, microBatch, plan });
}

function checkMicroBatch(microBatch: number, sequences: number): void {
  if (!Number.isInteger(microBatch) || microBatch < 1 || sequences % microBatch !== 0) {
    throw new InputError(`microBatch must divide the batch's ${sequences}, found ${microBatch}`);
  }
}
