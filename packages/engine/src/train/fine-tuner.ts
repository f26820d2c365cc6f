// Trains low-rank adapters over a frozen base in its stored form: only adapters have gradients and
// moments. It deliberately knows no data files and no schedule: a step is told its rate.
import { assert } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { type AdapterConfig, adapterPlaces, checkAdapterConfig } from "../adapters/config.ts";
import { initialAdapters } from "../adapters/initial-adapters.ts";
import type { ModelConfig, ParameterPlace } from "../model/config.ts";
import type { BaseModel } from "../quantize/base-model.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { adamwUpdate } from "./adamw.ts";
import { AdapterGradients } from "./adapter-gradients.ts";
import type { BatchShape } from "./batch-shape.ts";
import { FlatMemory } from "./flat-memory.ts";
import { DivergedError } from "./trainer.ts";
import {
  checkCounted,
  shareBatches,
  TUNE_DEFAULTS,
  type TuneBatch,
  type TuneEvaluation,
  type TuneOptimizer,
  type Tuner,
  type TuneState,
  type TuneStep,
} from "./tuner.ts";

export type FineTunerOptions = {
  readonly runtime: Runtime;
  readonly base: BaseModel;
  readonly adapter: AdapterConfig;
  /** One micro-batch. */
  readonly batch: BatchShape;
  /** Of the first adapters and of dropout: a safe integer ≥ 0. */
  readonly seed: number;
  readonly optimizer?: TuneOptimizer;
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
  /** Awaited after each block of a step, which may take seconds: lets others have their turn. */
  readonly turn?: (() => Promise<void>) | undefined;
};

/** Weights, gradients and two moments; and what rounding up to whole lanes may take. */
const ARRAYS = 4;
const SPARE = 64;

type Arrays = {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
  readonly memory: FlatMemory;
};

/** Made by createFineTuner. */
export class FineTuner implements Tuner {
  readonly base: BaseModel;
  readonly adapter: AdapterConfig;
  readonly batch: BatchShape;
  /** The adapters, in the order of adapterSpecs: write to them to load, read them after a step. */
  readonly weights: Float32Array;
  readonly #places: readonly ParameterPlace[];
  readonly #optimizer: TuneOptimizer;
  readonly #arrays: Arrays;
  readonly #source: AdapterGradients;
  #step = 0;
  #busy = false;

  constructor(options: FineTunerOptions, arrays: Arrays, source: AdapterGradients) {
    this.base = options.base;
    this.adapter = options.adapter;
    this.batch = options.batch;
    this.#places = adapterPlaces(options.base.config, options.adapter);
    this.#optimizer = options.optimizer ?? TUNE_DEFAULTS;
    this.#arrays = arrays;
    this.weights = arrays.weights;
    this.#source = source;
  }

  get model(): ModelConfig {
    return this.base.config;
  }

  get stepsTaken(): number {
    return this.#step;
  }

  async step(
    batches: TuneBatch | readonly TuneBatch[],
    { learningRate }: { readonly learningRate: number },
  ): Promise<TuneStep> {
    const { loss, tokens } = await this.gradients(batches);
    const norm = Math.sqrt(this.#arrays.memory.squares(this.#arrays.gradients));
    if (!Number.isFinite(norm) || !Number.isFinite(loss)) {
      throw new DivergedError(`the loss is ${loss}, the gradient's norm ${norm}`, {
        hint: "lower the learning rate, or check the data",
      });
    }
    this.#update(norm, learningRate);
    return { loss, gradientNorm: norm, tokens };
  }

  #update(norm: number, learningRate: number): void {
    this.#step += 1;
    const { gradientNormMax, ...adamw } = this.#optimizer;
    const gradientScale = Math.min(1, gradientNormMax / norm);
    const { memory, ...flat } = this.#arrays;
    const view = (array: Float32Array, { offset, size }: ParameterPlace): Float32Array =>
      array.subarray(offset, offset + size);
    for (const place of this.#places) {
      const part = {
        weights: view(flat.weights, place),
        gradients: view(flat.gradients, place),
        moment1: view(flat.moment1, place),
        moment2: view(flat.moment2, place),
      };
      const decays = place.shape.length > 1;
      const scales = { step: this.#step, gradientScale, learningRateScale: 1, decays };
      adamwUpdate(memory, part, { ...adamw, learningRate }, scales);
    }
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
        loss += await this.#source.run(own, { step: this.#step, part }, mode);
      }
    });
    return { loss, tokens, gradients: this.#arrays.gradients };
  }

  async evaluate(batches: TuneBatch | readonly TuneBatch[]): Promise<TuneEvaluation> {
    const { tokens, parts } = shareBatches(batches, this.batch);
    if (tokens === 0) return { loss: Number.NaN, tokens };
    let loss = 0;
    await this.#alone(async () => {
      for (const own of parts) loss += await this.#source.evaluate(own);
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
    const { weights, moment1, moment2 } = this.#arrays;
    return {
      step: this.#step,
      weights: weights.slice(),
      moment1: moment1.slice(),
      moment2: moment2.slice(),
    };
  }

  restore(state: TuneState): void {
    const names = ["weights", "moment1", "moment2"] as const;
    const fits = names.every((name) => state[name].length === this.weights.length);
    if (!fits || !Number.isSafeInteger(state.step) || state.step < 0) {
      throw new InputError("the state belongs to another model or other adapters");
    }
    this.#step = state.step;
    for (const name of names) this.#arrays[name].set(state[name]);
  }

  async close(): Promise<void> {
    await this.#source.dispose();
  }
}

/**
 * Compiles what a step needs. The adapters start as initialAdapters has them.
 *
 * @throws InputError   if the adapters do not fit the model
 * @throws RuntimeError if the runtime rejects a graph
 */
export async function createFineTuner(options: FineTunerOptions): Promise<FineTuner> {
  const { runtime, base, adapter, batch, seed, threads = 1 } = options;
  checkAdapterConfig(base.config, adapter);
  const initial = initialAdapters(base, adapter, seed);
  const spare = adapterPlaces(base.config, adapter).length * ARRAYS + SPARE;
  const memory = new FlatMemory(initial.length * ARRAYS + spare);
  const floats = (): Float32Array => memory.floats(initial.length);
  const arrays = {
    weights: floats(),
    gradients: floats(),
    moment1: floats(),
    moment2: floats(),
    memory,
  };
  arrays.weights.set(initial);
  const setup = { model: base.config, kind: base.kind, adapter, batch };
  const { turn = () => Promise.resolve() } = options;
  const work = { runtime, threads, setup, base, seed, turn };
  return new FineTuner(options, arrays, await AdapterGradients.create(work, arrays));
}
