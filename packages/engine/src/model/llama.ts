// The decoder of Llama and its relatives as IR: embedding, L blocks of attention and a gated
// feed-forward with RMSNorm before each, norm, head. What a relative does differently is a feature
// (config.ts); it deliberately has no dropout and no state.
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import { type BlockPlace, selfAttention } from "./attention-block.ts";
import { eightBits, ternary } from "./bit-linear.ts";
import { type Features, featuresOf, headSize, isSliding, type LlamaConfig } from "./config.ts";
import {
  type Decoder,
  type DecoderOptions,
  type LinearModule,
  type Lookup,
  plainLinear,
} from "./decoder.ts";
import { gelu, linear, type RopeBase, reluSquared, ropeTables, silu } from "./layers.ts";

type Tables = { readonly cos: Tensor; readonly sin: Tensor };
type Parts = {
  readonly config: LlamaConfig;
  readonly features: Features;
  readonly options: DecoderOptions;
  /** cos and sin of a layer's positions. */
  readonly tables: (layer: number, time: number) => Tables;
};

const ACTIVATIONS = { silu, gelu, relu2: reluSquared };

/** Theta and scaling of a layer: Gemma's sliding layers have a theta of their own. */
export function ropeBase(config: LlamaConfig, layer: number): RopeBase {
  const { ropeLocalBaseFreq, ropeTheta, ropeScaling } = config;
  return isSliding(config, layer) && ropeLocalBaseFreq !== undefined
    ? { theta: ropeLocalBaseFreq }
    : { theta: ropeTheta, scaling: ropeScaling };
}

export function llamaDecoder(config: LlamaConfig, options: DecoderOptions = {}): Decoder {
  const features = featuresOf(config);
  const parts = { config, features, options, tables: tableMaker(config, options) };
  const headName = config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  const normed = (weight: Lookup, x: Tensor): Tensor => normalize(parts, weight, "model.norm", x);
  return {
    hiddenSize: config.hiddenSize,
    layerCount: config.numHiddenLayers,
    blockPrefix: (layer) => `model.layers.${layer}.`,
    layerKind: (layer) => (isSliding(config, layer) ? 1 : 0),
    embed: (weight, ids) => {
      const rows = ir.reshape(ids, [ids.shape.reduce((size, dim) => size * dim, 1)]);
      const embedded = ir.gather(weight("model.embed_tokens.weight"), rows);
      const scale = features.embeddingScale;
      return scale === 1 ? embedded : ir.mul(embedded, ir.scalar(scale));
    },
    attend: (weight, x, place) => attend(parts, weight, x, place),
    feedForward: (weight, x, layer) => feedForward(parts, weight, x, layer),
    normed,
    headName,
    head: (weight, x) => linear(normed(weight, x), weight(headName)),
  };
}

/** Positions 0 … T − 1 once per theta and T, unless the caller feeds positions. */
function tableMaker(config: LlamaConfig, options: DecoderOptions): Parts["tables"] {
  const made = new Map<string, Tables>();
  const width = headSize(config);
  return (layer, time) => {
    const given = options.positions?.rope?.(layer);
    if (given) return given;
    const base = ropeBase(config, layer);
    const key = `${base.theta} ${time}`;
    const known = made.get(key);
    if (known) return known;
    const { cos, sin } = ropeTables(width, base, { first: 0, time });
    const shape = [time, width / 2];
    const tables = { cos: ir.constant(cos, shape), sin: ir.constant(sin, shape) };
    made.set(key, tables);
    return tables;
  };
}

function normalize({ config, features }: Parts, weight: Lookup, name: string, x: Tensor): Tensor {
  const own = weight(`${name}.weight`);
  const gain = features.gainOffset === 0 ? own : ir.add(own, ir.scalar(features.gainOffset));
  return ir.rmsNormalize(x, gain, config.rmsNormEps);
}

/** The first half's way back into the residual stream, or the second's. */
function addTo(
  parts: Parts,
  weight: Lookup,
  norm: string,
  [x, y]: readonly [Tensor, Tensor],
): Tensor {
  return ir.add(x, parts.features.sandwichNorms ? normalize(parts, weight, norm, y) : y);
}

function attend(parts: Parts, weight: Lookup, x: Tensor, place: BlockPlace): Tensor {
  const { config, features, options } = parts;
  const [heads, keyValueHeads] = [config.numAttentionHeads, config.numKeyValueHeads];
  const width = headSize(config);
  const normed = normalize(parts, weight, "input_layernorm", x);
  const qkv = multiply(parts, normed, {
    ...{ name: "self_attn.qkv_proj", layer: place.layer, weight, bias: features.qkvBias },
    parts: [
      { name: "self_attn.q_proj", size: heads * width },
      { name: "self_attn.k_proj", size: keyValueHeads * width },
      { name: "self_attn.v_proj", size: keyValueHeads * width },
    ],
  });
  const { cos, sin } = parts.tables(place.layer, place.time);
  const mixed = selfAttention(qkv, place, {
    ...{ heads, keyValueHeads, width, scale: features.attentionScale, cache: options.cache },
    window: isSliding(config, place.layer) ? config.slidingWindow : undefined,
    prepare: (head, kind) => {
      const norm = `self_attn.${kind}_norm`;
      return ir.rope(features.headNorms ? normalize(parts, weight, norm, head) : head, cos, sin);
    },
  });
  const own = features.subNorms
    ? normalize(parts, weight, "self_attn.attn_sub_norm", mixed)
    : mixed;
  const module = { name: "self_attn.o_proj", layer: place.layer, weight };
  const out = multiply(parts, own, { ...module, bias: features.outputBias });
  return addTo(parts, weight, "post_attention_layernorm", [x, out]);
}

function feedForward(parts: Parts, weight: Lookup, x: Tensor, layer: number): Tensor {
  const { features } = parts;
  const entry = features.sandwichNorms ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  const normed = normalize(parts, weight, entry, x);
  const product = (name: string, input: Tensor): Tensor =>
    multiply(parts, input, { name, layer, weight, bias: features.mlpBias });
  const gate = ACTIVATIONS[features.activation](product("mlp.gate_proj", normed));
  // The gate second: a runtime that computes the newest first is then done with it before up.
  const hidden = ir.mul(product("mlp.up_proj", normed), gate);
  const own = features.subNorms ? normalize(parts, weight, "mlp.ffn_sub_norm", hidden) : hidden;
  return addTo(parts, weight, "post_feedforward_layernorm", [x, product("mlp.down_proj", own)]);
}

type Module = Pick<LinearModule, "name" | "layer" | "weight" | "bias"> & Partial<LinearModule>;

/** A matrix product of a block, by the options' way of building it. */
function multiply({ config, options }: Parts, x: Tensor, module: Module): Tensor {
  const { name, weight } = module;
  return (options.linear ?? plainLinear)(x, {
    inputMajor: false,
    parts: module.parts ?? [{ name, size: outSize(config, name) }],
    ...module,
    weight,
    activation: config.bitLinear === undefined ? undefined : eightBits,
    quantize: config.bitLinear === "online" ? ternary : undefined,
  });
}

function outSize({ hiddenSize, intermediateSize }: LlamaConfig, name: string): number {
  return /gate_proj|up_proj/.test(name) ? intermediateSize : hiddenSize;
}
