// How well weights predict a text: mean cross-entropy over windows, forward only.
// It deliberately changes nothing and knows no training.
import { assert } from "@manyhands/base/assert";
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import { type ModelConfig, parameterCount } from "../model/config.ts";
import { decoderLogits, weightFeeds, weightTensors } from "../model/decoder.ts";
import { crossEntropy } from "../model/layers.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import type { BatchShape } from "./batch-shape.ts";

export type EvaluatorOptions = {
  readonly runtime: Runtime;
  readonly model: ModelConfig;
  readonly batch: BatchShape;
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
};

export type Evaluation = {
  /** Nats per predicted token; NaN if there is none. */
  readonly loss: number;
  /** Predicted tokens. */
  readonly tokens: number;
};

/** The number of windows of a text: every token but the first is predicted once, T to a window. */
export function windowCount(tokenCount: number, contextLength: number): number {
  return Math.max(0, Math.ceil((tokenCount - 1) / contextLength));
}

/**
 * Mean cross-entropy −(1/n) Σ ln p(token) over n predicted tokens, in nats per token. Made by
 * createEvaluator.
 */
export class Evaluator {
  readonly #batch: BatchShape;
  readonly #executable: Executable;
  readonly #weights: Float32Array;
  readonly #feeds: Readonly<Record<string, Float32Array | Int32Array>>;
  readonly #ids: Int32Array;
  readonly #targets: Int32Array;
  readonly #losses: Float32Array;
  #busy = false;

  constructor(options: EvaluatorOptions, executable: Executable) {
    const { model, batch } = options;
    const size = batch.sequences * batch.contextLength;
    this.#batch = batch;
    this.#executable = executable;
    this.#weights = new Float32Array(parameterCount(model));
    this.#ids = new Int32Array(size);
    this.#targets = new Int32Array(size);
    this.#losses = new Float32Array(size);
    const feeds = weightFeeds(model, this.#weights);
    this.#feeds = { ...feeds, ids: this.#ids, targets: this.#targets };
  }

  /**
   * Windows of T inputs at 0, T, 2T …, the last one shorter; sums in float64, in the windows'
   * order.
   *
   * @param weights flat, in the order of parameterSpecs
   * @param tokens  the text; every token but the first is predicted once
   * @param windows indices of the windows to take; default all
   */
  async evaluate(
    weights: Float32Array,
    tokens: Int32Array,
    windows?: readonly number[],
  ): Promise<Evaluation> {
    assert(!this.#busy, "an evaluator runs one evaluation at a time");
    this.#busy = true;
    try {
      this.#weights.set(weights);
      return await this.#sumWindows(tokens, windows);
    } finally {
      this.#busy = false;
    }
  }

  async #sumWindows(tokens: Int32Array, windows?: readonly number[]): Promise<Evaluation> {
    const { sequences, contextLength } = this.#batch;
    const count = windowCount(tokens.length, contextLength);
    const chosen = windows ?? Array.from({ length: count }, (_, index) => index);
    assert(
      chosen.every((index) => Number.isInteger(index) && index >= 0 && index < count),
      `windows are 0 … ${count - 1}`,
    );
    let sum = 0;
    let predicted = 0;
    for (let first = 0; first < chosen.length; first += sequences) {
      const lengths = this.#fill(tokens, chosen.slice(first, first + sequences));
      await this.#executable.run(this.#feeds, { losses: this.#losses });
      lengths.forEach((length, row) => {
        for (let t = 0; t < length; t++) sum += this.#losses[row * contextLength + t] as number;
        predicted += length;
      });
    }
    return { loss: sum / predicted, tokens: predicted };
  }

  /** Writes the windows as rows, zeros where there is no text. @returns each row's predictions */
  #fill(tokens: Int32Array, windows: readonly number[]): readonly number[] {
    const { contextLength } = this.#batch;
    this.#ids.fill(0);
    this.#targets.fill(0);
    return windows.map((window, row) => {
      const start = window * contextLength;
      const length = Math.min(contextLength, tokens.length - 1 - start);
      this.#ids.set(tokens.subarray(start, start + length), row * contextLength);
      this.#targets.set(tokens.subarray(start + 1, start + 1 + length), row * contextLength);
      return length;
    });
  }

  dispose(): Promise<void> {
    return this.#executable.dispose();
  }
}

/** The graph of each position's loss: "losses" [B·T], from "ids" and "targets", both [B, T]. */
export function evaluationGraph(model: ModelConfig, batch: BatchShape): Graph {
  const shape = [batch.sequences, batch.contextLength];
  const ids = ir.input("ids", shape, "i32");
  const targets = ir.input("targets", shape, "i32");
  const logits = decoderLogits(decoderOf(model), weightTensors(model), ids);
  const losses = crossEntropy(logits, ir.reshape(targets, [logits.shape[0] ?? 1]));
  return graphOf({ losses });
}

/** @throws RuntimeError if the runtime rejects the graph */
export async function createEvaluator(options: EvaluatorOptions): Promise<Evaluator> {
  const { model, batch, runtime, threads = 1 } = options;
  const executable = await runtime.compile(evaluationGraph(model, batch), { threads });
  return new Evaluator(options, executable);
}
