// The GPT-2 decoder as IR: learned positions, L blocks of attention and GELU with LayerNorm before
// each, biases, norm, head. It deliberately has no dropout, no cache and no state.
import { InputError } from "@manyhands/base/errors";
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import type { Gpt2Config } from "./config.ts";
import type { BlockPlace, Decoder, Lookup } from "./decoder.ts";
import { causalAttention, gelu, linear } from "./layers.ts";

export function gpt2Decoder(config: Gpt2Config): Decoder {
  const table = "transformer.wte.weight";
  return {
    hiddenSize: config.nEmbd,
    layerCount: config.nLayer,
    blockPrefix: (layer) => `transformer.h.${layer}.`,
    embed: (weight, ids) => {
      const [batch = 1, time = 1] = ids.shape;
      if (time > config.nPositions) {
        throw new InputError(`${time} tokens are more than the model's ${config.nPositions}`);
      }
      const tokens = ir.gather(weight(table), ids);
      const places = ir.slice(weight("transformer.wpe.weight"), 0, 0, time);
      return ir.reshape(ir.add(tokens, places), [batch * time, config.nEmbd]);
    },
    attend: (weight, x, place) => {
      const normed = normalize(config, weight, "ln_1", x);
      const product = ir.matmul(normed, weight("attn.c_attn.weight"));
      const qkv = addQkvBias(product, weight("attn.c_attn.bias"));
      const mixed = selfAttention(config, qkv, place);
      return ir.add(x, project(weight, "attn.c_proj", mixed));
    },
    feedForward: (weight, x) => {
      const normed = normalize(config, weight, "ln_2", x);
      const hidden = gelu(project(weight, "mlp.c_fc", normed));
      return ir.add(x, project(weight, "mlp.c_proj", hidden));
    },
    head: (weight, x) => {
      const final = normalize(config, weight, "transformer.ln_f", x);
      return linear(final, weight(config.tieWordEmbeddings ? table : "lm_head.weight"));
    },
  };
}

function normalize(config: Gpt2Config, weight: Lookup, name: string, x: Tensor): Tensor {
  const [gain, bias] = [weight(`${name}.weight`), weight(`${name}.bias`)];
  return ir.layerNormalize(x, { gain, bias }, config.layerNormEpsilon);
}

/** x · w + b with w [in, out], as GPT-2 stores it: x [N, in] → [N, out]. */
function project(weight: Lookup, name: string, x: Tensor): Tensor {
  return ir.add(ir.matmul(x, weight(`${name}.weight`)), weight(`${name}.bias`));
}

/**
 * x + b, with a gradient of exactly 0 for b's middle third. A key's bias shifts all scores of a
 * query alike, so softmax undoes it: its gradient is 0, and what rounding leaves of it Adam would
 * scale up to full steps of noise.
 *
 * @param x    [N, 3C]: q, k, v
 * @param bias [3C]
 */
function addQkvBias(x: Tensor, bias: Tensor): Tensor {
  const [width = 3] = bias.shape;
  const third = width / 3;
  const counts = ir.constant(new Float32Array(width).fill(1).fill(0, third, 2 * third), [width]);
  return ir.withGradient(ir.add(x, bias), [x, bias], (dy) => [
    dy,
    ir.mul(ir.reduceSum(dy, [0]), counts),
  ]);
}

/** qkv [B·T, 3 H D] → the mixed values [B·T, H·D]. */
function selfAttention(config: Gpt2Config, qkv: Tensor, { batch, time }: BlockPlace): Tensor {
  const heads = config.nHead;
  const width = config.nEmbd / heads;
  const split = ir.reshape(qkv, [batch, time, 3 * heads, width]);
  const byHead = ir.transpose(split, [0, 2, 1, 3]);
  const q = ir.reshape(ir.slice(byHead, 1, 0, heads), [batch, heads, 1, time, width]);
  const key = ir.slice(byHead, 1, heads, 2 * heads);
  const value = ir.slice(byHead, 1, 2 * heads, 3 * heads);
  const mixed = causalAttention(q, key, value);
  const byTime = ir.transpose(ir.reshape(mixed, [batch, heads, time, width]), [0, 2, 1, 3]);
  return ir.reshape(byTime, [batch * time, heads * width]);
}
