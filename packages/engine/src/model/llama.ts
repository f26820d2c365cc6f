// The Llama decoder as IR: embedding, L blocks of attention and SwiGLU with RMSNorm before each,
// norm, head. It deliberately has no biases, no dropout and no state.
import { defined } from "@manyhands/base/assert";
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import { headSize, type LlamaConfig, parameterPlaces } from "./config.ts";
import { attention, causalAttention, crossEntropy, linear, ropeTables, silu } from "./layers.ts";

/** A graph input that covers one parameter, or neighbours that are multiplied as one matrix. */
export type WeightInput = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
};

const QKV = /self_attn\.[qkv]_proj/;

/** The graph's weight inputs, which tile the flat weights in order: q, k and v are one matrix. */
export function weightInputs(config: LlamaConfig): readonly WeightInput[] {
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
export function weightTensors(config: LlamaConfig): Weights {
  return new Map(
    weightInputs(config).map(({ name, shape }) => [name, ir.input(name, shape)] as const),
  );
}

/** Each weight input's part of the flat weights, as views: what a run feeds. */
export function weightFeeds(
  config: LlamaConfig,
  weights: Float32Array,
): Readonly<Record<string, Float32Array>> {
  return Object.fromEntries(
    weightInputs(config).map(({ name, offset, size }) => {
      return [name, weights.subarray(offset, offset + size)];
    }),
  );
}

function weight(weights: Weights, name: string): Tensor {
  return defined(weights.get(`${name}.weight`), `there is a weight ${name}`);
}

/** Where in time a decoder's input lies, and what it may see: without a mask, what is before. */
export type Positions = { readonly cos: Tensor; readonly sin: Tensor; readonly mask?: Tensor };

/** Positions 0 … T − 1, causal. */
export function fullPositions(config: LlamaConfig, time: number): Positions {
  const width = headSize(config);
  const { cos, sin } = ropeTables(width, config.ropeTheta, { first: 0, time });
  return {
    cos: ir.constant(cos, [time, width / 2]),
    sin: ir.constant(sin, [time, width / 2]),
  };
}

export type KeyValue = { readonly key: Tensor; readonly value: Tensor };

export type DecoderParts = {
  readonly config: LlamaConfig;
  readonly weights: Weights;
  readonly positions: Positions;
  /**
   * Turns a layer's new keys and values into all that its queries look at. Default: the new ones.
   */
  readonly cache?: (layer: number, fresh: KeyValue) => KeyValue;
};

/**
 * Logits of the next token at every position.
 *
 * @param ids [B, T], i32
 * @returns   [B·T, V]
 */
export function decoderLogits(parts: DecoderParts, ids: Tensor): Tensor {
  const { config, weights } = parts;
  const [batch = 1, time = 1] = ids.shape;
  const table = weight(weights, "model.embed_tokens");
  let x = ir.gather(table, ir.reshape(ids, [batch * time]));
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const own = (name: string): Tensor => weight(weights, `model.layers.${layer}.${name}`);
    const normed = ir.rmsNormalize(x, own("input_layernorm"), config.rmsNormEps);
    const qkv = linear(normed, own("self_attn.qkv_proj"));
    const mixed = selfAttention(parts, layer, ir.reshape(qkv, [batch, time, qkv.shape[1] ?? 0]));
    x = ir.add(x, linear(mixed, own("self_attn.o_proj")));
    const normed2 = ir.rmsNormalize(x, own("post_attention_layernorm"), config.rmsNormEps);
    const gate = silu(linear(normed2, own("mlp.gate_proj")));
    const hidden = ir.mul(gate, linear(normed2, own("mlp.up_proj")));
    x = ir.add(x, linear(hidden, own("mlp.down_proj")));
  }
  const final = ir.rmsNormalize(x, weight(weights, "model.norm"), config.rmsNormEps);
  return linear(final, config.tieWordEmbeddings ? table : weight(weights, "lm_head"));
}

/** qkv [B, T, (H + 2 KV) D] → the mixed values [B·T, H·D]. */
function selfAttention(parts: DecoderParts, layer: number, qkv: Tensor): Tensor {
  const { config, positions } = parts;
  const [heads, keyValueHeads] = [config.numAttentionHeads, config.numKeyValueHeads];
  const [batch = 1, time = 1] = qkv.shape;
  const width = headSize(config);
  const group = heads / keyValueHeads;
  const split = ir.reshape(qkv, [batch, time, heads + 2 * keyValueHeads, width]);
  const byHead = ir.transpose(split, [0, 2, 1, 3]);
  const keysEnd = heads + keyValueHeads;
  const rotate = (x: Tensor): Tensor => ir.rope(x, positions.cos, positions.sin);
  const q = rotate(ir.slice(byHead, 1, 0, heads));
  const fresh = {
    key: rotate(ir.slice(byHead, 1, heads, keysEnd)),
    value: ir.slice(byHead, 1, keysEnd, keysEnd + keyValueHeads),
  };
  const { key, value } = parts.cache ? parts.cache(layer, fresh) : fresh;
  // Queries of the heads that share a key are rows of one matrix: the keys are never repeated.
  const mixed = positions.mask
    ? attention(
        ir.reshape(q, [batch, keyValueHeads, group * time, width]),
        key,
        value,
        positions.mask,
      )
    : causalAttention(ir.reshape(q, [batch, keyValueHeads, group, time, width]), key, value);
  const byTime = ir.transpose(ir.reshape(mixed, [batch, heads, time, width]), [0, 2, 1, 3]);
  return ir.reshape(byTime, [batch * time, heads * width]);
}

/** Mean cross-entropy of the next tokens, in nats: ids [B, T] and targets [B, T]. */
export function decoderLoss(parts: DecoderParts, ids: Tensor, targets: Tensor): Tensor {
  const logits = decoderLogits(parts, ids);
  const flat = ir.reshape(targets, [logits.shape[0] ?? 1]);
  return ir.reduceMean(crossEntropy(logits, flat), [0, 1]);
}
