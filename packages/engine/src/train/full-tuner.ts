// Fine-tuning of all weights, with targets that may not count: the trainer's gradients and AdamW
// under the interface of fine-tuning. It deliberately packs nothing: what trains is float32.
import { assert } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { type ModelConfig, parameterCount } from "../model/config.ts";
import { weightFeeds } from "../model/decoder.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import type { BatchShape } from "./batch-shape.ts";
import { createLoneSource } from "./create-source.ts";
import { evaluationGraph } from "./evaluate.ts";
import { FlatMemory } from "./flat-memory.ts";
import type { GradientSource } from "./gradient-source.ts";
import { Optimizer } from "./optimizer.ts";
import { DivergedError } from "./trainer.ts";
import {
  checkCounted,
  type SharedBatch,
  shareBatches,
  TUNE_DEFAULTS,
  type TuneBatch,
  type TuneEvaluation,
  type TuneOptimizer,
  type Tuner,
  type TuneState,
  type TuneStep,
} from "./tuner.ts";

export type FullTunerOptions = {
  readonly runtime: Runtime;
  readonly model: ModelConfig;
  /** The first weights, which are copied. */
  readonly weights: Float32Array;
  /** One micro-batch. */
  readonly batch: BatchShape;
  readonly optimizer?: TuneOptimizer;
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
  /** "blocks" computes the blocks' insides twice, in less memory. Default "none". */
  readonly recomputation?: "none" | "blocks";
};

/** Weights, gradients and two moments; and what rounding up to whole lanes may take. */
const ARRAYS = 4;
const SPARE = 4096;

type Parts = {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly memory: FlatMemory;
  readonly source: GradientSource;
  readonly optimizer: Optimizer;
};

class FullTuner implements Tuner {
  readonly model: ModelConfig;
  readonly batch: BatchShape;
  readonly weights: Float32Array;
  readonly #options: FullTunerOptions;
  readonly #parts: Parts;
  #evaluator: Executable | undefined;
  #step = 0;
  #busy = false;

  constructor(options: FullTunerOptions, parts: Parts) {
    this.model = options.model;
    this.batch = options.batch;
    this.weights = parts.weights;
    this.#options = options;
    this.#parts = parts;
  }

  get stepsTaken(): number {
    return this.#step;
  }

  async step(
    batches: TuneBatch | readonly TuneBatch[],
    { learningRate }: { readonly learningRate: number },
  ): Promise<TuneStep> {
    const { loss, tokens } = await this.gradients(batches);
    const { weights, gradients, optimizer, memory } = this.#parts;
    const before = Math.sqrt(memory.squares(gradients));
    if (!Number.isFinite(before) || !Number.isFinite(loss)) {
      throw new DivergedError(`the loss is ${loss}, the gradient's norm ${before}`, {
        hint: "lower the learning rate, or check the data",
      });
    }
    const norm = await optimizer.update(weights, gradients, { learningRateScale: learningRate });
    this.#step += 1;
    return { loss, gradientNorm: norm, tokens };
  }

  async gradients(
    batches: TuneBatch | readonly TuneBatch[],
  ): Promise<TuneEvaluation & { readonly gradients: Float32Array }> {
    const { tokens, parts } = shareBatches(batches, this.batch);
    checkCounted(tokens);
    let loss = 0;
    await this.#alone(async () => {
      for (const [part, own] of parts.entries()) {
        const mode = part === 0 ? "overwrite" : "add";
        loss += await this.#parts.source.run(counted(own), mode);
      }
    });
    return { loss, tokens, gradients: this.#parts.gradients };
  }

  async evaluate(batches: TuneBatch | readonly TuneBatch[]): Promise<TuneEvaluation> {
    const { tokens, parts } = shareBatches(batches, this.batch);
    if (tokens === 0) return { loss: Number.NaN, tokens };
    const { runtime, threads = 1 } = this.#options;
    this.#evaluator ??= await runtime.compile(evaluationGraph(this.model, this.batch), { threads });
    const evaluator = this.#evaluator;
    const weights = weightFeeds(this.model, this.weights);
    let loss = 0;
    await this.#alone(async () => {
      for (const own of parts) {
        const { losses } = await evaluator.run({ ...weights, ...counted(own) });
        own.share.forEach((share, i) => {
          loss += share * (losses?.[i] ?? 0);
        });
      }
    });
    return { loss, tokens };
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    assert(!this.#busy, "a tuner does one thing at a time");
    this.#busy = true;
    try {
      await work();
    } finally {
      this.#busy = false;
    }
  }

  state(): TuneState {
    const { moment1, moment2 } = this.#parts.optimizer.state();
    return { step: this.#step, weights: this.weights.slice(), moment1, moment2 };
  }

  restore(state: TuneState): void {
    if (state.weights.length !== this.weights.length) {
      throw new InputError("the state belongs to another model");
    }
    this.#parts.optimizer.load(state);
    this.weights.set(state.weights);
    this.#step = state.step;
  }

  async close(): Promise<void> {
    const { source, optimizer } = this.#parts;
    await Promise.all([source.dispose(), optimizer.dispose(), this.#evaluator?.dispose()]);
  }
}

/** Targets that no vocabulary misses: what is not counted may be any token. */
function counted({ ids, targets, share }: SharedBatch): {
  readonly ids: Int32Array;
  readonly targets: Int32Array;
  readonly shares: Float32Array;
} {
  return { ids, targets: targets.map((target) => Math.max(0, target)), shares: share };
}

/**
 * @throws InputError   if the weights are not the model's
 * @throws RuntimeError if the runtime rejects a graph
 */
export async function createFullTuner(options: FullTunerOptions): Promise<Tuner> {
  const { runtime, model, batch, threads = 1, recomputation = "none" } = options;
  const size = parameterCount(model);
  if (options.weights.length !== size) {
    throw new InputError(`the model has ${size} weights, found ${options.weights.length}`);
  }
  const memory = new FlatMemory(size * ARRAYS + SPARE);
  const arrays = { weights: memory.floats(size), gradients: memory.floats(size), memory };
  arrays.weights.set(options.weights);
  const { sequences, contextLength } = batch;
  const micro = { model, sequences, contextLength, share: 1, weighted: true };
  const source = await createLoneSource({ runtime, threads }, { micro, recomputation, arrays });
  const { gradientNormMax, ...adamw } = options.optimizer ?? TUNE_DEFAULTS;
  // A step's rate is the optimiser's times the step's: the first is 1.
  const recipe = { gradientNormMax, adamw: { ...adamw, learningRate: 1 } };
  const optimizer = await Optimizer.create(runtime, recipe, { model, threads, memory });
  return new FullTuner(options, { ...arrays, source, optimizer });
}
