// Our config as the config.json from which Hugging Face's transformers builds the same network.
// It writes what decides, and no generation settings. Reading is in hf-config.ts.
import {
  architectureOf,
  type Gpt2Config,
  headSize,
  isGpt2,
  type LlamaConfig,
  type ModelConfig,
  type RopeScaling,
} from "../model/config.ts";

type Json = { readonly [key: string]: unknown };

/** config.json: all that transformers 4 and 5 need to build the same network. */
export function configJson(config: ModelConfig): string {
  const fields = isGpt2(config) ? gpt2Fields(config) : familyFields(config);
  return `${JSON.stringify(fields, null, 2)}\n`;
}

const CLASSES = {
  llama: "LlamaForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM",
  gemma3_text: "Gemma3ForCausalLM",
  gpt2: "GPT2LMHeadModel",
  bitnet: "BitNetForCausalLM",
} as const;

/** The name of transformers' class. */
export function architectureClass(config: ModelConfig): string {
  return CLASSES[architectureOf(config)];
}

/** What every config.json ends with: no tokens with a meaning, unless a tokenizer gives them. */
const TAIL = {
  initializer_range: 0.02,
  torch_dtype: "float32",
  use_cache: true,
  bos_token_id: null,
  eos_token_id: null,
  pad_token_id: null,
};

function gpt2Fields(config: Gpt2Config): Json {
  return {
    architectures: [CLASSES.gpt2],
    model_type: "gpt2",
    vocab_size: config.vocabSize,
    n_positions: config.nPositions,
    n_embd: config.nEmbd,
    n_layer: config.nLayer,
    n_head: config.nHead,
    n_inner: config.nInner,
    layer_norm_epsilon: config.layerNormEpsilon,
    activation_function: "gelu_new",
    tie_word_embeddings: config.tieWordEmbeddings,
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    ...TAIL,
  };
}

function familyFields(config: LlamaConfig): Json {
  const type = architectureOf(config);
  const gemma = type === "gemma3_text";
  const activation = gemma ? "gelu_pytorch_tanh" : type === "bitnet" ? "relu2" : "silu";
  const { initializer_range, ...tail } = TAIL;
  return {
    architectures: [CLASSES[type]],
    model_type: type,
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
    rope_scaling: config.ropeScaling ? scalingFields(config.ropeScaling) : null,
    tie_word_embeddings: config.tieWordEmbeddings,
    [gemma ? "hidden_activation" : "hidden_act"]: activation,
    attention_bias: config.attentionBias ?? false,
    attention_dropout: 0,
    mlp_bias: config.mlpBias ?? false,
    initializer_range,
    pretraining_tp: 1,
    ...relativeFields(config),
    ...tail,
  };
}

function scalingFields(scaling: RopeScaling): Json {
  if (scaling.ropeType === "linear") return { rope_type: "linear", factor: scaling.factor };
  return {
    rope_type: "llama3",
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositionEmbeddings,
  };
}

/** Nothing for a Llama, so that its config.json stays as it always was. */
function relativeFields(config: LlamaConfig): Json {
  const { layerTypes, slidingWindow, bitLinear, modelType } = config;
  const gemma = modelType === "gemma3_text";
  const full = Array.from({ length: config.numHiddenLayers }, () => "full_attention");
  return {
    ...(layerTypes ? { layer_types: layerTypes, sliding_window: slidingWindow } : {}),
    ...(layerTypes && !gemma ? { use_sliding_window: true } : {}),
    ...(gemma
      ? {
          layer_types: layerTypes ?? full,
          query_pre_attn_scalar: config.queryPreAttnScalar ?? headSize(config),
          rope_local_base_freq: config.ropeLocalBaseFreq ?? config.ropeTheta,
        }
      : {}),
    ...(bitLinear
      ? {
          quantization_config: {
            quant_method: "bitnet",
            linear_class: "autobitlinear",
            quantization_mode: bitLinear,
          },
        }
      : {}),
  };
}
