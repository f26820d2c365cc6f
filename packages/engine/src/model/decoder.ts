// What every decoder is to the trainer: an embedding, equal blocks, a head, and weights that lie in
// one flat array. It deliberately names no architecture: llama.ts (a family) and gpt2.ts do.
import { defined } from "@manyhands/base/assert";
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import type { BlockPlace, Cache } from "./attention-block.ts";
import { type ModelConfig, parameterPlaces } from "./config.ts";
import { crossEntropy, linear } from "./layers.ts";

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
      const merged = { ...last, shape: [rows, ...shape.slice(1)], size: last.size + size };
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

/** Where in time a decoder's input lies, if not at 0 … T − 1: what a single new token feeds. */
export type Positions = {
  /** cos and sin [T, D/2] of a layer. */
  readonly rope?: (layer: number) => { readonly cos: Tensor; readonly sin: Tensor };
  /** Places [T], i32, where positions are learned. */
  readonly places?: Tensor;
};

/** A matrix product of a block: what is multiplied with what, by the name of its weights. */
export type LinearModule = {
  /** Within the block, without ".weight": q, k and v go by the name "self_attn.qkv_proj". */
  readonly name: string;
  readonly layer: number;
  readonly weight: Lookup;
  readonly bias: boolean;
  /** Whether the matrix is stored as [in, out]. */
  readonly inputMajor: boolean;
  /** What the columns of the product are: one matrix of Hugging Face's, or q, k and v. */
  readonly parts: readonly { readonly name: string; readonly size: number }[];
  /** What the matrix multiplies instead of x itself (BitNet: x in 8 bits). Default: x. */
  readonly activation?: ((x: Tensor) => Tensor) | undefined;
  /** What is done to each part's matrix before it multiplies (BitNet: ternary). */
  readonly quantize?: ((w: Tensor) => Tensor) | undefined;
};

/** x [N, in] → [N, out]. */
export type Linear = (x: Tensor, module: LinearModule) => Tensor;

export type DecoderOptions = {
  readonly positions?: Positions;
  readonly cache?: Cache;
  /** How a block's matrix products are built. Default: plainLinear. */
  readonly linear?: Linear;
};

/** x · W + b, with W a float32 weight of the graph. */
export const plainLinear: Linear = (x, module) => {
  const { name, weight, activation, quantize } = module;
  const rows = activation ? activation(x) : x;
  const stored = weight(`${name}.weight`);
  const matrix = quantize ? byParts(stored, module.parts, quantize) : stored;
  const product = module.inputMajor ? ir.matmul(rows, matrix) : linear(rows, matrix);
  return module.bias ? ir.add(product, weight(`${name}.bias`)) : product;
};

/** Each part's rows of a matrix by themselves. */
function byParts(
  matrix: Tensor,
  parts: LinearModule["parts"],
  change: (part: Tensor) => Tensor,
): Tensor {
  let start = 0;
  const changed = parts.map(({ size }) => {
    start += size;
    return change(ir.slice(matrix, 0, start - size, start));
  });
  return ir.concat(changed, 0);
}

/** An architecture, as functions that build IR. B·T = N rows of C numbers run through it. */
export type Decoder = {
  readonly hiddenSize: number;
  readonly layerCount: number;
  /** What the names of a block's weights start with. */
  readonly blockPrefix: (layer: number) => string;
  /** Blocks of one kind differ in nothing but their weights, unless keys are cached. */
  readonly layerKind: (layer: number) => number;
  /** ids [B, T] → [N, C] */
  readonly embed: (weight: Lookup, ids: Tensor) => Tensor;
  /** A block's first half, x [N, C] → [N, C]. */
  readonly attend: (weight: Lookup, x: Tensor, place: BlockPlace) => Tensor;
  /** A block's second half, [N, C] → [N, C]. */
  readonly feedForward: (weight: Lookup, x: Tensor, layer: number) => Tensor;
  /** What the head multiplies: x [N, C], normalised. */
  readonly normed: (weight: Lookup, x: Tensor) => Tensor;
  /** The name of the matrix that the head multiplies with, [V, C]. */
  readonly headName: string;
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
  const states = decoderStates(decoder, (prefix) => lookup(weights, prefix), ids);
  return decoder.head(lookup(weights), states);
}

/**
 * What the head sees: ids [B, T] → [B·T, C].
 *
 * @param find weights by the prefix of a block, or ""
 */
export function decoderStates(
  decoder: Decoder,
  find: (prefix: string) => Lookup,
  ids: Tensor,
): Tensor {
  const [batch = 1, time = 1] = ids.shape;
  let x = decoder.embed(find(""), ids);
  for (let layer = 0; layer < decoder.layerCount; layer++) {
    const own = find(decoder.blockPrefix(layer));
    x = decoder.feedForward(own, decoder.attend(own, x, { layer, batch, time }), layer);
  }
  return x;
}

/** Mean cross-entropy of the next tokens, in nats: logits [B·T, V] and targets [B, T]. */
export function meanLoss(logits: Tensor, targets: Tensor): Tensor {
  const flat = ir.reshape(targets, [logits.shape[0] ?? 1]);
  return ir.reduceMean(crossEntropy(logits, flat), [0, 1]);
}
