// The Llama decoder as IR: embedding, L blocks of attention and SwiGLU with RMSNorm before each,
// norm, head. It deliberately has no biases, no dropout and no state.
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import { headSize, type LlamaConfig } from "./config.ts";
import type { Decoder } from "./decoder.ts";
import {
  cachedAttention,
  causalAttention,
  type KeyValue,
  linear,
  ropeTables,
  silu,
} from "./layers.ts";

/** Where in time a decoder's input lies. */
export type Positions = { readonly cos: Tensor; readonly sin: Tensor };
/** What a single new token sees besides itself: keys and values of S places, [1, S] says which. */
export type Past = KeyValue & { readonly mask: Tensor };

/** Positions 0 … T − 1, causal. */
function fullPositions(config: LlamaConfig, time: number): Positions {
  const width = headSize(config);
  const { cos, sin } = ropeTables(width, config.ropeTheta, { first: 0, time });
  return {
    cos: ir.constant(cos, [time, width / 2]),
    sin: ir.constant(sin, [time, width / 2]),
  };
}

export type LlamaOptions = {
  /** Default: 0 … T − 1. */
  readonly positions?: Positions;
  /**
   * Takes a layer's new keys and values. What it gives back is the past of a single token; if that
   * is nothing, the tokens see each other, causally.
   */
  readonly cache?: (layer: number, fresh: KeyValue) => Past | undefined;
};

type Parts = LlamaOptions & { readonly config: LlamaConfig };

export function llamaDecoder(config: LlamaConfig, options: LlamaOptions = {}): Decoder {
  const tables = new Map<number, Positions>();
  const positionsOf = (time: number): Positions => {
    const positions = options.positions ?? tables.get(time) ?? fullPositions(config, time);
    tables.set(time, positions);
    return positions;
  };
  const eps = config.rmsNormEps;
  return {
    hiddenSize: config.hiddenSize,
    layerCount: config.numHiddenLayers,
    blockPrefix: (layer) => `model.layers.${layer}.`,
    embed: (weight, ids) => {
      const rows = ir.reshape(ids, [ids.shape.reduce((size, dim) => size * dim, 1)]);
      return ir.gather(weight("model.embed_tokens.weight"), rows);
    },
    attend: (weight, x, { layer, batch, time }) => {
      const parts = { ...options, config, positions: positionsOf(time) };
      const normed = ir.rmsNormalize(x, weight("input_layernorm.weight"), eps);
      const qkv = linear(normed, weight("self_attn.qkv_proj.weight"));
      const rows = ir.reshape(qkv, [batch, time, qkv.shape[1] ?? 0]);
      const mixed = selfAttention(parts, layer, rows);
      return ir.add(x, linear(mixed, weight("self_attn.o_proj.weight")));
    },
    feedForward: (weight, x) => {
      const normed = ir.rmsNormalize(x, weight("post_attention_layernorm.weight"), eps);
      const gate = silu(linear(normed, weight("mlp.gate_proj.weight")));
      // The gate second: a runtime that computes the newest first is then done with it before up.
      const hidden = ir.mul(linear(normed, weight("mlp.up_proj.weight")), gate);
      return ir.add(x, linear(hidden, weight("mlp.down_proj.weight")));
    },
    head: (weight, x) => {
      const final = ir.rmsNormalize(x, weight("model.norm.weight"), eps);
      const name = config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
      return linear(final, weight(name));
    },
  };
}

/** qkv [B, T, (H + 2 KV) D] → the mixed values [B·T, H·D]. */
function selfAttention(
  parts: Parts & { readonly positions: Positions },
  layer: number,
  qkv: Tensor,
): Tensor {
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
  const past = parts.cache?.(layer, fresh);
  // Queries of the heads that share a key are rows of one matrix: the keys are never repeated.
  const shape = [batch, keyValueHeads, group];
  const mixed = past
    ? cachedAttention(ir.reshape(q, [...shape, width]), past, fresh, past.mask)
    : causalAttention(ir.reshape(q, [...shape, time, width]), fresh.key, fresh.value);
  const byTime = ir.transpose(ir.reshape(mixed, [batch, heads, time, width]), [0, 2, 1, 3]);
  return ir.reshape(byTime, [batch * time, heads * width]);
}
