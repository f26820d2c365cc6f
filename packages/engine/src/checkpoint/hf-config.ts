// A model's config.json as Hugging Face's transformers writes it, read into our own config.
// It reads only what this engine can run: an unknown twist is refused, never ignored.
import {
  type Decoded,
  type Decoder,
  describe,
  fallback,
  flag,
  integer,
  list,
  nullable,
  object,
  oneOf,
  problemText,
  real,
} from "@manyhands/base/decode";
import { InputError, messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import {
  type Architecture,
  checkConfig,
  type Gpt2Config,
  type LayerType,
  type LlamaConfig,
  type ModelConfig,
  SUPPORTED_ARCHITECTURES,
} from "../model/config.ts";
import { readRope } from "./hf-rope.ts";

type Json = { readonly [key: string]: unknown };

/** How a checkpoint's ternary matrices become numbers: weight × scale, or weight / scale. */
export type TernaryScale = "multiplies" | "divides";

/** A config.json: the model's shape, and how its files store it. */
export type ModelFileConfig = {
  readonly config: ModelConfig;
  /** Given if the blocks' matrices are ternary numbers with a scale beside them. */
  readonly ternary?: TernaryScale;
};

const COUNT_MAX = 1 << 30;
const LAYERS_MAX = 1_024;
const count = integer(1, COUNT_MAX);
const off: Decoder<false | null> = nullable(oneFalse());
const maybe = <T>(inner: Decoder<T>): Decoder<T | null> => fallback(nullable(inner), null);

function oneFalse(): Decoder<false> {
  return (value, path = []) =>
    value === false ? ok(false) : err({ path, found: describe(value), expected: "false" });
}

const bitnetQuantization = object({
  quant_method: oneOf("bitnet"),
  linear_class: fallback(oneOf("bitlinear", "autobitlinear"), "bitlinear"),
  quantization_mode: fallback(oneOf("offline", "online"), "offline"),
  use_rms_norm: fallback(off, false),
  rms_norm_eps: maybe(real(0, 1)),
  modules_to_not_convert: maybe(list(oneOf("lm_head"), { max: 1 })),
});

/** The fields of Llama and all its relatives: what one of them has, another may lack. */
const FAMILY = {
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: integer(1, LAYERS_MAX),
  num_attention_heads: count,
  num_key_value_heads: maybe(count),
  head_dim: maybe(count),
  max_position_embeddings: count,
  rms_norm_eps: maybe(real(0, 1)),
  rope_theta: passed(),
  rope_parameters: passed(),
  rope_scaling: passed(),
  rope_local_base_freq: passed(),
  tie_word_embeddings: maybe(flag),
  hidden_act: maybe(oneOf("silu", "relu2", "gelu_pytorch_tanh")),
  hidden_activation: maybe(oneOf("gelu_pytorch_tanh")),
  attention_bias: maybe(flag),
  mlp_bias: maybe(flag),
  pretraining_tp: maybe(oneOf(1)),
  sliding_window: maybe(count),
  use_sliding_window: maybe(flag),
  max_window_layers: maybe(integer(0, COUNT_MAX)),
  layer_types: maybe(list(oneOf("full_attention", "sliding_attention"), { max: LAYERS_MAX })),
  sliding_window_pattern: maybe(count),
  query_pre_attn_scalar: maybe(real(0, COUNT_MAX)),
  attn_logit_softcapping: fallback(off, null),
  final_logit_softcapping: fallback(off, null),
  use_bidirectional_attention: fallback(off, null),
  partial_rotary_factor: maybe(oneOf(1)),
  rope_interleaved: fallback(off, null),
  quantization_config: maybe(bitnetQuantization),
};
const familyDecoder = object(FAMILY);
type Family = Decoded<typeof familyDecoder>;

const GPT2 = {
  vocab_size: count,
  n_positions: count,
  n_embd: count,
  n_layer: integer(1, LAYERS_MAX),
  n_head: count,
  n_inner: maybe(count),
  layer_norm_epsilon: fallback(real(0, 1), 1e-5),
  activation_function: fallback(oneOf("gelu_new", "gelu_pytorch_tanh"), "gelu_new"),
  tie_word_embeddings: maybe(flag),
  scale_attn_weights: maybe(oneTrue()),
  scale_attn_by_inverse_layer_idx: fallback(off, null),
  add_cross_attention: fallback(off, null),
  quantization_config: fallback(off, null),
};
const gpt2Decoder = object(GPT2);

function oneTrue(): Decoder<true> {
  return (value, path = []) =>
    value === true ? ok(true) : err({ path, found: describe(value), expected: "true" });
}

/** Whatever stands there: it is read by itself. */
function passed(): Decoder<unknown> {
  return (value) => ok(value ?? null);
}

/** Fields that change no number of the network: they are not looked at. */
const IGNORED = new Set([
  ...["architectures", "auto_map", "cache_implementation", "dtype", "torch_dtype"],
  ...["attention_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop", "initializer_range"],
  ...["bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id"],
  ...["id2label", "label2id", "problem_type", "num_labels", "task_specific_params"],
  ...["chunk_size_feed_forward", "is_encoder_decoder", "output_attentions", "output_hidden_states"],
  ...["return_dict", "transformers_version", "use_cache", "transformers.js_config", "torchscript"],
  ...["is_llama_config", "n_ctx", "reorder_and_upcast_attn"],
  ...["summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type"],
  ...["summary_use_proj", "model_type", "unsloth_fixed", "unsloth_version", "use_mrope"],
]);

/** The model's shape in a config.json, or a sentence that says what is wrong with it. */
export function parseConfigJson(text: string): Result<ModelConfig, string> {
  const parsed = parseModelFileConfig(text);
  return parsed.ok ? ok(parsed.value.config) : parsed;
}

/** As parseConfigJson, with what else the files' reader must know. */
export function parseModelFileConfig(text: string): Result<ModelFileConfig, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (caught) {
    return err(`config.json is no JSON: ${messageOf(caught)}`);
  }
  if (!isJson(value)) return err(`config.json: expected an object, found ${describe(value)}`);
  const type = architectureIn(value);
  if (!type.ok) return type;
  try {
    const config = type.value === "gpt2" ? readGpt2(value) : readFamily(value, type.value);
    if (config.ok) checkConfig(config.value.config);
    return config;
  } catch (caught) {
    if (caught instanceof InputError) return err(`config.json: ${caught.message}`);
    throw caught;
  }
}

/** The model type, if it is one that this engine runs. */
function architectureIn(value: Json): Result<Architecture, string> {
  const found = Object.hasOwn(value, "model_type") ? value["model_type"] : undefined;
  const known = SUPPORTED_ARCHITECTURES.find((each) => each === found);
  if (known !== undefined) return ok(known);
  const classes = value["architectures"];
  const also = Array.isArray(classes) ? ` (${describe(classes[0])})` : "";
  const list = SUPPORTED_ARCHITECTURES.join(", ");
  return err(
    `config.json: the architecture ${describe(found)}${also} is not supported; supported: ${list}`,
  );
}

/** A name that starts with "_" is a note of transformers to itself. */
function isIgnored(name: string): boolean {
  return IGNORED.has(name) || name.startsWith("_");
}

/**
 * The fields that decide something. One that nobody here knows and that is null or false says that
 * the model lacks something, as it does here.
 */
function deciding(value: Json, known: Json): Json {
  const kept = Object.entries(value).filter(([name, each]) => {
    if (Object.hasOwn(known, name)) return true;
    return !isIgnored(name) && each !== null && each !== false;
  });
  return Object.fromEntries(kept);
}

function readGpt2(value: Json): Result<ModelFileConfig, string> {
  const decoded = gpt2Decoder(deciding(value, GPT2));
  if (!decoded.ok) return err(`config.json: ${problemText(decoded.error)}`);
  const fields = decoded.value;
  const config: Gpt2Config = {
    modelType: "gpt2",
    vocabSize: fields.vocab_size,
    nPositions: fields.n_positions,
    nEmbd: fields.n_embd,
    nLayer: fields.n_layer,
    nHead: fields.n_head,
    nInner: fields.n_inner ?? 4 * fields.n_embd,
    layerNormEpsilon: fields.layer_norm_epsilon,
    tieWordEmbeddings: fields.tie_word_embeddings ?? true,
  };
  return ok({ config });
}

type FamilyArchitecture = Exclude<Architecture, "gpt2">;

/** What transformers takes where a config.json says nothing. */
const DEFAULTS: Readonly<
  Record<FamilyArchitecture, { activation: string; headDim?: number; eps: number; tied: boolean }>
> = {
  llama: { activation: "silu", eps: 1e-6, tied: false },
  qwen2: { activation: "silu", eps: 1e-6, tied: false },
  qwen3: { activation: "silu", headDim: 128, eps: 1e-6, tied: false },
  gemma3_text: { activation: "gelu_pytorch_tanh", headDim: 256, eps: 1e-6, tied: true },
  bitnet: { activation: "relu2", eps: 1e-5, tied: false },
};

function readFamily(value: Json, type: FamilyArchitecture): Result<ModelFileConfig, string> {
  const decoded = familyDecoder(deciding(value, FAMILY));
  if (!decoded.ok) return err(`config.json: ${problemText(decoded.error)}`);
  const fields = decoded.value;
  const defaults = DEFAULTS[type];
  const activation = fields.hidden_activation ?? fields.hidden_act ?? defaults.activation;
  if (activation !== defaults.activation) {
    return err(
      `config.json: the activation of ${type} is ${defaults.activation}, not ${activation}`,
    );
  }
  const rope = readRope(value, type);
  if (!rope.ok) return rope;
  const heads = fields.num_attention_heads;
  const config: LlamaConfig = {
    ...(type === "llama" ? {} : { modelType: type }),
    vocabSize: fields.vocab_size,
    hiddenSize: fields.hidden_size,
    intermediateSize: fields.intermediate_size,
    numHiddenLayers: fields.num_hidden_layers,
    numAttentionHeads: heads,
    numKeyValueHeads: fields.num_key_value_heads ?? heads,
    ...headDim(fields, defaults.headDim),
    maxPositionEmbeddings: fields.max_position_embeddings,
    rmsNormEps: fields.rms_norm_eps ?? defaults.eps,
    ...rope.value,
    tieWordEmbeddings: fields.tie_word_embeddings ?? defaults.tied,
    ...options(fields, type),
  };
  const ternary = ternaryScale(fields);
  return ok(ternary === undefined ? { config } : { config, ternary });
}

/** The width of a head where it is not hidden_size / num_attention_heads. */
function headDim(fields: Family, otherwise: number | undefined): { headDim?: number } {
  const usual = fields.hidden_size / fields.num_attention_heads;
  const width = fields.head_dim ?? otherwise ?? usual;
  return width === usual ? {} : { headDim: width };
}

/** What a relative has beyond Llama, each only where it changes something. */
function options(fields: Family, type: FamilyArchitecture): Partial<LlamaConfig> {
  const usual = fields.hidden_size / fields.num_attention_heads;
  const width = fields.head_dim ?? DEFAULTS[type].headDim ?? usual;
  const scalar = fields.query_pre_attn_scalar ?? 256;
  const quantization = fields.quantization_config;
  const online = quantization?.linear_class === "autobitlinear" ? "online" : "offline";
  return {
    ...(fields.attention_bias === true && type !== "qwen2" ? { attentionBias: true } : {}),
    ...(fields.mlp_bias === true && type === "llama" ? { mlpBias: true } : {}),
    ...windows(fields, type),
    ...(type === "gemma3_text" && scalar !== width ? { queryPreAttnScalar: scalar } : {}),
    ...(quantization
      ? { bitLinear: quantization.quantization_mode === "online" ? online : "offline" }
      : {}),
  };
}

/** Which layers slide: as layer_types says, or by each architecture's older rule. */
function windows(fields: Family, type: FamilyArchitecture): Partial<LlamaConfig> {
  const slides = type === "gemma3_text" || fields.use_sliding_window === true;
  if (!slides || type === "llama" || type === "bitnet") return {};
  const { sliding_window_pattern: pattern, max_window_layers: first } = fields;
  const older = (layer: number): LayerType => {
    const sliding =
      type === "gemma3_text" ? (layer + 1) % (pattern ?? 6) !== 0 : layer >= (first ?? 28);
    return sliding ? "sliding_attention" : "full_attention";
  };
  const layerTypes =
    fields.layer_types ?? Array.from({ length: fields.num_hidden_layers }, (_, i) => older(i));
  if (!layerTypes.includes("sliding_attention")) return {};
  return { slidingWindow: fields.sliding_window ?? 4_096, layerTypes };
}

function ternaryScale({ quantization_config: quantization }: Family): TernaryScale | undefined {
  if (quantization === null) return undefined;
  if (quantization.linear_class === "bitlinear") return "divides";
  return quantization.quantization_mode === "online" ? undefined : "multiplies";
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
