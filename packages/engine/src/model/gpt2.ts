// The GPT-2 decoder as IR: learned positions, L blocks of attention and GELU with LayerNorm before
// each, biases, norm, head. It deliberately has no dropout and no state.
import { InputError } from "@manyhands/base/errors";
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import { selfAttention } from "./attention-block.ts";
import { type Gpt2Config, headSize } from "./config.ts";
import { type Decoder, type DecoderOptions, type Lookup, plainLinear } from "./decoder.ts";
import { gelu, linear } from "./layers.ts";

export function gpt2Decoder(config: Gpt2Config, options: DecoderOptions = {}): Decoder {
  const table = "transformer.wte.weight";
  const width = headSize(config);
  const shape = { heads: config.nHead, keyValueHeads: config.nHead, width };
  const attention = { ...shape, scale: 1 / Math.sqrt(width), cache: options.cache };
  const multiply = (x: Tensor, name: string, size: number, at: At): Tensor =>
    (options.linear ?? plainLinear)(x, {
      ...{ name, ...at, bias: true, inputMajor: true },
      parts: [{ name, size }],
    });
  const headName = config.tieWordEmbeddings ? table : "lm_head.weight";
  const normed = (weight: Lookup, x: Tensor): Tensor =>
    normalize(config, weight, "transformer.ln_f", x);
  return {
    hiddenSize: config.nEmbd,
    layerCount: config.nLayer,
    blockPrefix: (layer) => `transformer.h.${layer}.`,
    layerKind: () => 0,
    embed: (weight, ids) => {
      const [batch = 1, time = 1] = ids.shape;
      const tokens = ir.gather(weight(table), ids);
      const places = placesOf(config, options, weight("transformer.wpe.weight"), time);
      return ir.reshape(ir.add(tokens, places), [batch * time, config.nEmbd]);
    },
    attend: (weight, x, place) => {
      const at = { layer: place.layer, weight: withoutKeyBias(weight) };
      const normed = normalize(config, weight, "ln_1", x);
      const qkv = multiply(normed, "attn.c_attn", 3 * config.nEmbd, at);
      const mixed = selfAttention(qkv, place, attention);
      return ir.add(x, multiply(mixed, "attn.c_proj", config.nEmbd, at));
    },
    feedForward: (weight, x, layer) => {
      const normed = normalize(config, weight, "ln_2", x);
      const hidden = gelu(multiply(normed, "mlp.c_fc", config.nInner, { layer, weight }));
      return ir.add(x, multiply(hidden, "mlp.c_proj", config.nEmbd, { layer, weight }));
    },
    normed,
    headName,
    head: (weight, x) => linear(normed(weight, x), weight(headName)),
  };
}

type At = { readonly layer: number; readonly weight: Lookup };

/** The learned positions of T tokens [T, C], from a table [S, C]. */
function placesOf(
  config: Gpt2Config,
  options: DecoderOptions,
  table: Tensor,
  time: number,
): Tensor {
  const places = options.positions?.places;
  if (places) return ir.gather(table, places);
  if (time > config.nPositions) {
    throw new InputError(`${time} tokens are more than the model's ${config.nPositions}`);
  }
  return ir.slice(table, 0, 0, time);
}

function normalize(config: Gpt2Config, weight: Lookup, name: string, x: Tensor): Tensor {
  const [gain, bias] = [weight(`${name}.weight`), weight(`${name}.bias`)];
  return ir.layerNormalize(x, { gain, bias }, config.layerNormEpsilon);
}

/**
 * The weights, but for q's, k's and v's bias: its middle third gets a gradient of exactly 0. A
 * key's bias shifts all scores of a query alike, so softmax undoes it: its gradient is 0, and what
 * rounding leaves of it Adam would scale up to full steps of noise.
 */
function withoutKeyBias(weight: Lookup): Lookup {
  return (name) => {
    const bias = weight(name);
    if (name !== "attn.c_attn.bias") return bias;
    const [width = 3] = bias.shape;
    const third = width / 3;
    const counts = new Float32Array(width).fill(1).fill(0, third, 2 * third);
    return ir.withGradient(bias, [bias], (dy) => [ir.mul(dy, ir.constant(counts, [width]))]);
  };
}
