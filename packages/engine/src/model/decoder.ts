// What every decoder is to the trainer: an embedding, equal blocks, a head, and weights that lie in
// one flat array. It deliberately names no architecture: llama.ts and gpt2.ts are two of them.
import { defined } from "@manyhands/base/assert";
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import { type ModelConfig, parameterPlaces } from "./config.ts";
import { crossEntropy } from "./layers.ts";

/** A graph input that covers one parameter, or neighbours that are multiplied as one matrix. */
export type WeightInput = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
};

const QKV = /self_attn\.[qkv]_proj/;

/** The graph's weight inputs, which tile the flat weights in order: q, k and v are one matrix. */
export function weightInputs(config: ModelConfig): readonly WeightInput[] {
  const inputs: WeightInput[] = [];
  for (const { name, shape, offset, size } of parameterPlaces(config)) {
    const packed = name.replace(QKV, "self_attn.qkv_proj");
    const last = inputs.at(-1);
    if (last?.name === packed) {
      const rows = (last.shape[0] ?? 0) + (shape[0] ?? 0);
      const merged = { ...last, shape: [rows, shape[1] ?? 0], size: last.size + size };
      inputs.splice(-1, 1, merged);
    } else {
      inputs.push({ name: packed, shape, offset, size });
    }
  }
  return inputs;
}

export type Weights = ReadonlyMap<string, Tensor>;

/** One IR input per weight input. */
export function weightTensors(config: ModelConfig): Weights {
  return new Map(
    weightInputs(config).map(({ name, shape }) => [name, ir.input(name, shape)] as const),
  );
}

/** Each weight input's part of the flat weights, as views: what a run feeds. */
export function weightFeeds(
  config: ModelConfig,
  weights: Float32Array,
): Readonly<Record<string, Float32Array>> {
  return Object.fromEntries(
    weightInputs(config).map(({ name, offset, size }) => {
      return [name, weights.subarray(offset, offset + size)];
    }),
  );
}

/** Finds a weight by its full name, or within a block by what follows the block's prefix. */
export type Lookup = (name: string) => Tensor;

/** Where a block stands, and what its rows are. */
export type BlockPlace = {
  readonly layer: number;
  readonly batch: number;
  readonly time: number;
};

/** An architecture, as functions that build IR. B·T = N rows of C numbers run through it. */
export type Decoder = {
  readonly hiddenSize: number;
  readonly layerCount: number;
  /** What the names of a block's weights start with. */
  readonly blockPrefix: (layer: number) => string;
  /** ids [B, T] → [N, C] */
  readonly embed: (weight: Lookup, ids: Tensor) => Tensor;
  /**
   * A block's first half, x [N, C] → [N, C]. Blocks differ in nothing but their weights, unless
   * keys are cached.
   */
  readonly attend: (weight: Lookup, x: Tensor, place: BlockPlace) => Tensor;
  /** A block's second half, [N, C] → [N, C]. */
  readonly feedForward: (weight: Lookup, x: Tensor) => Tensor;
  /** x [N, C] → the logits of the next token [N, V] */
  readonly head: (weight: Lookup, x: Tensor) => Tensor;
};

export function lookup(weights: Weights, prefix = ""): Lookup {
  return (name) => defined(weights.get(`${prefix}${name}`), `there is a weight ${prefix}${name}`);
}

/**
 * Logits of the next token at every position.
 *
 * @param ids [B, T], i32
 * @returns   [B·T, V]
 */
export function decoderLogits(decoder: Decoder, weights: Weights, ids: Tensor): Tensor {
  const [batch = 1, time = 1] = ids.shape;
  const all = lookup(weights);
  let x = decoder.embed(all, ids);
  for (let layer = 0; layer < decoder.layerCount; layer++) {
    const own = lookup(weights, decoder.blockPrefix(layer));
    x = decoder.feedForward(own, decoder.attend(own, x, { layer, batch, time }));
  }
  return decoder.head(all, x);
}

/** Mean cross-entropy of the next tokens, in nats: logits [B·T, V] and targets [B, T]. */
export function meanLoss(logits: Tensor, targets: Tensor): Tensor {
  const flat = ir.reshape(targets, [logits.shape[0] ?? 1]);
  return ir.reduceMean(crossEntropy(logits, flat), [0, 1]);
}
