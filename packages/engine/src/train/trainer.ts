// A trainer: one model, one batch shape, one device. Tokens in, better weights out.
// It deliberately knows no rounds, no data files and no schedule.
import { assert } from "@manyhands/base/assert";
import { ManyhandsError } from "@manyhands/base/errors";
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import { type ModelConfig, parameterCount } from "../model/config.ts";
import {
  decoderLogits,
  meanLoss,
  weightFeeds,
  weightInputs,
  weightTensors,
} from "../model/decoder.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import { Optimizer, type OptimizerState, type StepOptions } from "./optimizer.ts";
import type { OptimizerOptions } from "./options.ts";

export type BatchShape = {
  /** B: windows per step. */
  readonly sequences: number;
  /** T: tokens that the model sees in each. */
  readonly contextLength: number;
};

export type TrainerOptions = {
  readonly runtime: Runtime;
  readonly model: ModelConfig;
  readonly optimizer: OptimizerOptions;
  readonly batch: BatchShape;
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
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

/**
 * The graph of loss and gradients ("d <weight input>") for inputs "ids" and "targets", both [B, T].
 */
function gradientGraph(model: ModelConfig, batch: BatchShape): Graph {
  const weights = weightTensors(model);
  const shape = [batch.sequences, batch.contextLength];
  const ids = ir.input("ids", shape, "i32");
  const targets = ir.input("targets", shape, "i32");
  const loss = meanLoss(decoderLogits(decoderOf(model), weights, ids), targets);
  const slopes = gradients(loss, [...weights.values()]);
  const named = [...weights.keys()].map((name, i) => [`d ${name}`, slopes[i] ?? loss] as const);
  return graphOf({ loss, ...Object.fromEntries(named) });
}

export class Trainer {
  /** The flat weights, live: write to them to load, read them after a step. */
  readonly weights: Float32Array;
  readonly model: ModelConfig;
  readonly batch: BatchShape;
  readonly #optimizer: Optimizer;
  readonly #executable: Executable;
  readonly #gradients: Float32Array;
  readonly #ids: Int32Array;
  readonly #targets: Int32Array;
  readonly #feeds: Readonly<Record<string, Float32Array | Int32Array>>;
  readonly #into: Readonly<Record<string, Float32Array>>;
  #busy = false;

  constructor(options: TrainerOptions, optimizer: Optimizer, executable: Executable) {
    const { model, batch } = options;
    this.model = model;
    this.batch = batch;
    this.#optimizer = optimizer;
    this.#executable = executable;
    const size = parameterCount(model);
    this.weights = new Float32Array(size);
    this.#gradients = new Float32Array(size);
    this.#ids = new Int32Array(batch.sequences * batch.contextLength);
    this.#targets = new Int32Array(batch.sequences * batch.contextLength);
    const feeds = weightFeeds(model, this.weights);
    this.#feeds = { ...feeds, ids: this.#ids, targets: this.#targets };
    const slopes = weightInputs(model).map(({ name, offset, size: length }) => {
      return [`d ${name}`, this.#gradients.subarray(offset, offset + length)] as const;
    });
    this.#into = { ...Object.fromEntries(slopes), loss: new Float32Array(1) };
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
    this.#splitTokens(tokens);
    const outputs = await this.#executable.run(this.#feeds, this.#into);
    return { loss: outputs["loss"]?.[0] ?? Number.NaN, gradients: this.#gradients };
  }

  #splitTokens(tokens: Int32Array): void {
    const { sequences, contextLength } = this.batch;
    const row = contextLength + 1;
    assert(tokens.length === sequences * row, `a batch has ${sequences} × ${row} tokens`);
    for (let b = 0; b < sequences; b++) {
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
    await Promise.all([this.#executable.dispose(), this.#optimizer.dispose()]);
  }
}

/**
 * Builds and compiles everything that a step needs. The weights start as zeros: set them.
 *
 * @throws InputError   if the model's config is not a model
 * @throws RuntimeError if the runtime rejects a graph
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const { runtime, model, threads = 1 } = options;
  const graph = gradientGraph(model, options.batch);
  const executable = await runtime.compile(graph, { threads });
  const optimizer = await Optimizer.create(runtime, options.optimizer, { model, threads });
  return new Trainer(options, optimizer, executable);
}
