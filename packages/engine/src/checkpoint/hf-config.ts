// A model's config.json as Hugging Face's LlamaConfig, written and read back.
// It reads only what this engine can run: an unknown twist is refused, never ignored.

import {
  checked,
  type Decoded,
  type Decoder,
  fallback,
  flag,
  integer,
  object,
  oneOf,
  problemText,
  real,
} from "@manyhands/base/decode";
import { InputError, messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import { checkConfig, headSize, type LlamaConfig } from "../model/config.ts";

type Json = { readonly [key: string]: unknown };

/** config.json: all that transformers 4 and 5 need to build the same network. */
export function configJson(config: LlamaConfig): string {
  const fields = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numHiddenLayers,
    num_attention_heads: config.numAttentionHeads,
    num_key_value_heads: config.numKeyValueHeads,
    head_dim: headSize(config),
    max_position_embeddings: config.maxPositionEmbeddings,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: null,
    tie_word_embeddings: config.tieWordEmbeddings,
    hidden_act: "silu",
    attention_bias: false,
    attention_dropout: 0,
    mlp_bias: false,
    initializer_range: 0.02,
    pretraining_tp: 1,
    torch_dtype: "float32",
    use_cache: true,
    bos_token_id: null,
    eos_token_id: null,
    pad_token_id: null,
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

const COUNT_MAX = 1 << 30;
const LAYERS_MAX = 1_024;
const THETA_MAX = 1e12;
const count = integer(1, COUNT_MAX);
/** How transformers 5 writes rope_theta. */
const rope = object({ rope_type: oneOf("default"), rope_theta: real(0, THETA_MAX) });
const nothing = checked("null", (value): value is null => value === null);

const decoder = object({
  model_type: oneOf("llama"),
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: integer(1, LAYERS_MAX),
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: fallback<number | null>(count, null),
  max_position_embeddings: count,
  rms_norm_eps: real(0, 1),
  rope_theta: fallback<number | null>(real(0, THETA_MAX), null),
  rope_parameters: fallback<Decoded<typeof rope> | null>(rope, null),
  rope_scaling: fallback(nothing, null),
  tie_word_embeddings: fallback(flag, false),
  hidden_act: fallback(oneOf("silu"), "silu"),
  attention_bias: fallback(asFalse(), false),
  mlp_bias: fallback(asFalse(), false),
  pretraining_tp: fallback(oneOf(1), 1),
});

function asFalse(): Decoder<false> {
  return checked("false", (value): value is false => value === false);
}

/** Fields that change no number of the network: they are not looked at. */
const IGNORED = new Set([
  "architectures",
  "attention_dropout",
  "bos_token_id",
  "dtype",
  "eos_token_id",
  "initializer_range",
  "pad_token_id",
  "torch_dtype",
  "transformers_version",
  "use_cache",
]);

/** The model's shape in a config.json, or a sentence that says what is wrong with it. */
export function parseConfigJson(text: string): Result<LlamaConfig, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (caught) {
    return err(`config.json is no JSON: ${messageOf(caught)}`);
  }
  const decoded = decoder(isJson(value) ? without(value, IGNORED) : value);
  if (!decoded.ok) return err(`config.json: ${problemText(decoded.error)}`);
  const fields = decoded.value;
  const config: LlamaConfig = {
    vocabSize: fields.vocab_size,
    hiddenSize: fields.hidden_size,
    intermediateSize: fields.intermediate_size,
    numHiddenLayers: fields.num_hidden_layers,
    numAttentionHeads: fields.num_attention_heads,
    numKeyValueHeads: fields.num_key_value_heads,
    maxPositionEmbeddings: fields.max_position_embeddings,
    rmsNormEps: fields.rms_norm_eps,
    ropeTheta: fields.rope_parameters?.rope_theta ?? fields.rope_theta ?? 10_000,
    tieWordEmbeddings: fields.tie_word_embeddings,
  };
  try {
    checkConfig(config);
  } catch (caught) {
    if (caught instanceof InputError) return err(`config.json: ${caught.message}`);
    throw caught;
  }
  if (fields.head_dim !== null && fields.head_dim !== headSize(config)) {
    return err(`config.json: head_dim: expected ${headSize(config)}, found ${fields.head_dim}`);
  }
  return ok(config);
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function without(value: Json, names: ReadonlySet<string>): Json {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.has(name)));
}
