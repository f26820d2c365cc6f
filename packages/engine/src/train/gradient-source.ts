// Loss and gradients of one micro-batch, by one graph for the whole model.
// It deliberately updates nothing: trainer.ts adds micro-batches up, optimizer.ts uses the sum.
import { defined } from "@manyhands/base/assert";
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import type { ModelConfig } from "../model/config.ts";
import {
  decoderLogits,
  meanLoss,
  weightFeeds,
  weightInputs,
  weightTensors,
} from "../model/decoder.ts";
import { crossEntropy } from "../model/layers.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import type { FlatMemory } from "./flat-memory.ts";

/** What loss and gradients are taken of. */
export type MicroBatch = {
  readonly model: ModelConfig;
  readonly sequences: number;
  readonly contextLength: number;
  /** The micro-batch's share of the batch: scales its loss, and so its gradients. */
  readonly share: number;
  /** Whether each token's loss counts what "shares" says, an input [B, T], instead of the mean. */
  readonly weighted?: boolean;
};

/** The flat arrays that a source reads and writes. */
export type FlatArrays = {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  /** Where they may lie, and what adds to them. */
  readonly memory: FlatMemory;
};

export type MicroTokens = {
  /** [B, T] */
  readonly ids: Int32Array;
  readonly targets: Int32Array;
  /** What each token's loss counts, if the micro-batch is weighted. */
  readonly shares?: Float32Array;
};

export interface GradientSource {
  /**
   * Gradients of share × mean cross-entropy into the flat gradients: instead of what is there, or
   * added to it.
   *
   * @returns share × mean cross-entropy
   */
  run(tokens: MicroTokens, mode: "overwrite" | "add"): Promise<number>;
  dispose(): Promise<void>;
}

/** The mean loss times a micro-batch's share, or the sum of weighted losses. */
export function sharedLoss(logits: Tensor, targets: Tensor, micro: MicroBatch): Tensor {
  if (micro.weighted) {
    const rows = logits.shape[0] ?? 1;
    const losses = crossEntropy(logits, ir.reshape(targets, [rows]));
    const shares = ir.reshape(ir.input("shares", targets.shape), [rows, 1]);
    return ir.reduceSum(ir.mul(losses, shares), [0, 1]);
  }
  const loss = meanLoss(logits, targets);
  return micro.share === 1 ? loss : ir.mul(loss, ir.scalar(micro.share));
}

/**
 * The graph of loss and gradients ("d <weight input>") for inputs "ids" and "targets", both [B, T].
 */
export function gradientGraph(micro: MicroBatch): Graph {
  const weights = weightTensors(micro.model);
  const shape = [micro.sequences, micro.contextLength];
  const ids = ir.input("ids", shape, "i32");
  const targets = ir.input("targets", shape, "i32");
  const logits = decoderLogits(decoderOf(micro.model), weights, ids);
  const loss = sharedLoss(logits, targets, micro);
  const slopes = gradients(loss, [...weights.values()]);
  const named = [...weights.keys()].map((name, i) => [`d ${name}`, slopes[i] ?? loss] as const);
  return graphOf({ loss, ...Object.fromEntries(named) });
}

type Views = Readonly<Record<string, Float32Array>>;

/** Every weight input's part of a flat array, as "d <name>", and a place for the loss. */
function slopeViews(model: ModelConfig, flat: Float32Array): Views {
  const slopes = weightInputs(model).map(({ name, offset, size }) => {
    return [`d ${name}`, flat.subarray(offset, offset + size)] as const;
  });
  return { ...Object.fromEntries(slopes), loss: new Float32Array(1) };
}

/** One graph: fastest, and it holds every layer's activations at once. */
export class WholeGradients implements GradientSource {
  readonly #executable: Executable;
  readonly #micro: MicroBatch;
  readonly #arrays: FlatArrays;
  readonly #feeds: Views;
  readonly #into: Views;
  /** Made when a second micro-batch comes. */
  #more: { readonly flat: Float32Array; readonly into: Views } | undefined;

  private constructor(micro: MicroBatch, arrays: FlatArrays, executable: Executable) {
    this.#micro = micro;
    this.#arrays = arrays;
    this.#executable = executable;
    this.#feeds = weightFeeds(micro.model, arrays.weights);
    this.#into = slopeViews(micro.model, arrays.gradients);
  }

  static async create(
    work: { readonly runtime: Runtime; readonly threads: number },
    micro: MicroBatch,
    arrays: FlatArrays,
  ): Promise<WholeGradients> {
    const executable = await work.runtime.compile(gradientGraph(micro), { threads: work.threads });
    return new WholeGradients(micro, arrays, executable);
  }

  async run(tokens: MicroTokens, mode: "overwrite" | "add"): Promise<number> {
    const feeds = { ...this.#feeds, ...tokens };
    if (mode === "overwrite") return lossOf(await this.#executable.run(feeds, this.#into));
    this.#more ??= this.#addends();
    const loss = lossOf(await this.#executable.run(feeds, this.#more.into));
    this.#arrays.memory.add(this.#arrays.gradients, this.#more.flat);
    return loss;
  }

  #addends(): { readonly flat: Float32Array; readonly into: Views } {
    const flat = new Float32Array(this.#arrays.gradients.length);
    return { flat, into: slopeViews(this.#micro.model, flat) };
  }

  dispose(): Promise<void> {
    return this.#executable.dispose();
  }
}

function lossOf(outputs: Views): number {
  return defined(outputs["loss"]?.[0], "a run gives its loss");
}
