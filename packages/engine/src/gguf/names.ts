// Our parameters as llama.cpp names and stores them: which tensor, and what is done to its numbers.
// It deliberately reads no weights.
// @source llama.cpp's src/llama-arch.cpp (names) and its conversion scripts (what they store)
import { defined } from "@manyhands/base/assert";
import {
  type Architecture,
  architectureOf,
  featuresOf,
  headSize,
  isGpt2,
  isInputMajor,
  type ModelConfig,
  type ParameterPlace,
  parameterPlaces,
} from "../model/config.ts";

/** What a tensor's numbers go through on their way into the file. */
export type Change =
  | { readonly kind: "transpose" }
  /** A head's first half interleaved with its second: llama.cpp rotates neighbours. */
  | { readonly kind: "interleave"; readonly heads: number }
  /** x → (x + add) · multiply. */
  | { readonly kind: "affine"; readonly add: number; readonly multiply: number };

export type NamedTensor = {
  readonly name: string;
  /** As stored: after the change. */
  readonly shape: readonly number[];
  readonly place: ParameterPlace;
  readonly change: Change | undefined;
};

const BLOCK_NAMES: Readonly<Record<string, string>> = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "self_attn.o_proj": "attn_output",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  ln_1: "attn_norm",
  "attn.c_attn": "attn_qkv",
  "attn.c_proj": "attn_output",
  ln_2: "ffn_norm",
  "mlp.c_fc": "ffn_up",
  "mlp.c_proj": "ffn_down",
};

/** Gemma has norms on both sides of each half of a block. */
const GEMMA_NAMES: Readonly<Record<string, string>> = {
  post_attention_layernorm: "post_attention_norm",
  pre_feedforward_layernorm: "ffn_norm",
  post_feedforward_layernorm: "post_ffw_norm",
};

const OUTER_NAMES: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
  "transformer.wte": "token_embd",
  "transformer.wpe": "position_embd",
  "transformer.ln_f": "output_norm",
};

/** Every parameter's tensor, in the parameters' order. */
export function ggufTensors(config: ModelConfig): readonly NamedTensor[] {
  const architecture = architectureOf(config);
  return parameterPlaces(config).map((place) => {
    const change = changeOf(config, place);
    const shape = change?.kind === "transpose" ? place.shape.toReversed() : place.shape;
    return { name: nameOf(architecture, place.name), shape, place, change };
  });
}

function nameOf(architecture: Architecture, parameter: string): string {
  const [, module = "", kind = ""] = /^(.*)\.(weight|bias)$/.exec(parameter) ?? [];
  const [, layer, own = ""] = /^(?:model\.layers|transformer\.h)\.(\d+)\.(.*)$/.exec(module) ?? [];
  if (layer === undefined) {
    return `${defined(OUTER_NAMES[module], `${parameter} has a name in GGUF`)}.${kind}`;
  }
  const gemma = architecture === "gemma3_text" ? GEMMA_NAMES[own] : undefined;
  const name = defined(gemma ?? BLOCK_NAMES[own], `${parameter} has a name in GGUF`);
  return `blk.${layer}.${name}.${kind}`;
}

function changeOf(config: ModelConfig, place: ParameterPlace): Change | undefined {
  if (isGpt2(config)) {
    return isInputMajor(place) && place.shape.length === 2 ? { kind: "transpose" } : undefined;
  }
  const rotated = /self_attn\.([qk])_proj\./.exec(place.name)?.[1];
  if (rotated !== undefined && architectureOf(config) === "llama") {
    const heads = rotated === "q" ? config.numAttentionHeads : config.numKeyValueHeads;
    return { kind: "interleave", heads };
  }
  const { gainOffset, attentionScale } = featuresOf(config);
  if (gainOffset === 0 || place.shape.length !== 1) return undefined;
  // llama.cpp scales Gemma's scores by the head's width; another scale goes into q's gain.
  const usual = 1 / Math.sqrt(headSize(config));
  const multiply = place.name.endsWith("self_attn.q_norm.weight") ? attentionScale / usual : 1;
  return { kind: "affine", add: gainOffset, multiply };
}

/** A tensor's numbers as its change stores them; the same array where nothing moves. */
export function changed(values: Float32Array, { place, change }: NamedTensor): Float32Array {
  switch (change?.kind) {
    case undefined:
      return values;
    case "transpose":
      return transposed(values, place.shape);
    case "interleave":
      return interleaved(values, place.shape, change.heads);
    case "affine":
      return values.map((value) => (value + change.add) * change.multiply);
  }
}

function transposed(
  values: Float32Array,
  [rows = 1, columns = 1]: readonly number[],
): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      out[column * rows + row] = values[row * columns + column] as number;
    }
  }
  return out;
}

/** Rows i and i + D/2 of each head become rows 2i and 2i + 1. */
function interleaved(
  values: Float32Array,
  [rows = 1, columns = 1]: readonly number[],
  heads: number,
): Float32Array {
  const out = new Float32Array(values.length);
  const half = rows / heads / 2;
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half));
    const within = row % (2 * half);
    const to = head * 2 * half + (within < half ? 2 * within : 2 * (within - half) + 1);
    out.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}
