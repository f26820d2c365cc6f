// The shapes of models that people will name first, as their config.json has them: each is read,
// and has as many parameters as its publisher says. No weights, no network.
import assert from "node:assert/strict";
import { test } from "node:test";
import { architectureOf, contextLimit, headSize, parameterCount } from "../model/config.ts";
import { parseConfigJson, parseModelFileConfig } from "./hf-config.ts";

const COMMON = {
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 1,
  eos_token_id: [2, 3],
  initializer_range: 0.02,
  torch_dtype: "bfloat16",
  transformers_version: "4.52.4",
  use_cache: true,
};
const LLAMA3 = {
  factor: 32,
  high_freq_factor: 4,
  low_freq_factor: 1,
  original_max_position_embeddings: 8_192,
  rope_type: "llama3",
};

type Published = { readonly name: string; readonly parameters: number; readonly config: object };

const PUBLISHED: readonly Published[] = [
  {
    ...{ name: "Llama 3.2 1B", parameters: 1_235_814_400 },
    config: {
      ...{ ...COMMON, model_type: "llama", hidden_act: "silu", head_dim: 64, mlp_bias: false },
      ...{ hidden_size: 2_048, intermediate_size: 8_192, num_hidden_layers: 16 },
      ...{ num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 131_072 },
      ...{ rms_norm_eps: 1e-5, rope_scaling: LLAMA3, rope_theta: 500_000, pretraining_tp: 1 },
      ...{ tie_word_embeddings: true, vocab_size: 128_256, _commit_hash: "4e20de3" },
    },
  },
  {
    ...{ name: "Llama 2 7B", parameters: 6_738_415_616 },
    config: {
      ...{ model_type: "llama", _name_or_path: "x", hidden_act: "silu", torch_dtype: "float16" },
      ...{ hidden_size: 4_096, intermediate_size: 11_008, num_hidden_layers: 32 },
      ...{ num_attention_heads: 32, num_key_value_heads: 32, max_position_embeddings: 4_096 },
      ...{ rms_norm_eps: 1e-5, rope_scaling: null, vocab_size: 32_000, pretraining_tp: 1 },
      ...{ tie_word_embeddings: false },
    },
  },
  {
    ...{ name: "SmolLM2 135M", parameters: 134_515_008 },
    config: {
      ...{ ...COMMON, model_type: "llama", hidden_act: "silu", is_llama_config: true },
      ...{ hidden_size: 576, intermediate_size: 1_536, num_hidden_layers: 30 },
      ...{ num_attention_heads: 9, num_key_value_heads: 3, max_position_embeddings: 8_192 },
      ...{ rms_norm_eps: 1e-5, rope_interleaved: false, rope_theta: 100_000, rope_scaling: null },
      ...{ tie_word_embeddings: true, vocab_size: 49_152, "transformers.js_config": { a: 1 } },
    },
  },
  {
    ...{ name: "Qwen2.5 0.5B", parameters: 494_032_768 },
    config: {
      ...{ model_type: "qwen2", hidden_act: "silu", use_mrope: false, max_window_layers: 24 },
      ...{ hidden_size: 896, intermediate_size: 4_864, num_hidden_layers: 24 },
      ...{ num_attention_heads: 14, num_key_value_heads: 2, max_position_embeddings: 32_768 },
      ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, sliding_window: 32_768 },
      ...{ use_sliding_window: false, tie_word_embeddings: true, vocab_size: 151_936 },
    },
  },
  {
    ...{ name: "Qwen3 0.6B", parameters: 596_049_920 },
    config: {
      ...{ ...COMMON, model_type: "qwen3", hidden_act: "silu", head_dim: 128 },
      ...{ hidden_size: 1_024, intermediate_size: 3_072, num_hidden_layers: 28 },
      ...{ num_attention_heads: 16, num_key_value_heads: 8, max_position_embeddings: 40_960 },
      ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, rope_scaling: null, sliding_window: null },
      ...{ use_sliding_window: false, max_window_layers: 28, tie_word_embeddings: true },
      vocab_size: 151_936,
    },
  },
  {
    ...{ name: "Gemma 3 1B", parameters: 999_885_952 },
    config: {
      ...{ ...COMMON, model_type: "gemma3_text", hidden_activation: "gelu_pytorch_tanh" },
      ...{ hidden_size: 1_152, intermediate_size: 6_912, num_hidden_layers: 26, head_dim: 256 },
      ...{ num_attention_heads: 4, num_key_value_heads: 1, max_position_embeddings: 32_768 },
      ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
      ...{ query_pre_attn_scalar: 256, sliding_window: 512, sliding_window_pattern: 6 },
      ...{ cache_implementation: "hybrid", attn_logit_softcapping: null, rope_scaling: null },
      ...{ final_logit_softcapping: null, vocab_size: 262_144 },
    },
  },
  {
    ...{ name: "GPT-2", parameters: 124_439_808 },
    config: {
      ...{ model_type: "gpt2", activation_function: "gelu_new", attn_pdrop: 0.1, embd_pdrop: 0.1 },
      ...{ n_ctx: 1_024, n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1_024 },
      ...{ layer_norm_epsilon: 1e-5, resid_pdrop: 0.1, vocab_size: 50_257, bos_token_id: 50_256 },
      ...{ summary_activation: null, summary_type: "cls_index", summary_use_proj: true },
      ...{ task_specific_params: { "text-generation": { do_sample: true, max_length: 50 } } },
    },
  },
  {
    ...{ name: "BitNet b1.58 2B4T", parameters: 2_412_820_480 },
    config: {
      ...{ ...COMMON, model_type: "bitnet", hidden_act: "relu2", auto_map: { AutoConfig: "x.Y" } },
      ...{ hidden_size: 2_560, intermediate_size: 6_912, num_hidden_layers: 30 },
      ...{ num_attention_heads: 20, num_key_value_heads: 5, max_position_embeddings: 4_096 },
      ...{ rms_norm_eps: 1e-5, rope_theta: 500_000, tie_word_embeddings: true },
      ...{ vocab_size: 128_256 },
      quantization_config: {
        ...{ quant_method: "bitnet", linear_class: "autobitlinear" },
        quantization_mode: "offline",
      },
    },
  },
];

for (const { name, parameters, config } of PUBLISHED) {
  test(`${name}: its config.json is read, and it has ${parameters} parameters`, () => {
    const parsed = parseConfigJson(JSON.stringify({ architectures: ["X"], ...config }));
    assert(parsed.ok, parsed.ok ? "" : parsed.error);
    assert.equal(parameterCount(parsed.value), parameters);
    assert.equal(architectureOf(parsed.value), Reflect.get(config, "model_type"));
    assert(contextLimit(parsed.value) >= 1_024 && headSize(parsed.value) >= 64);
  });
}

test("what decides about ternary weights is told to who reads the files", () => {
  const config = PUBLISHED.at(-1)?.config;
  const parsed = parseModelFileConfig(JSON.stringify(config));
  assert(parsed.ok && parsed.value.ternary === "multiplies");
});

test("a twist that this engine does not compute is refused by its name", () => {
  const [llama] = PUBLISHED;
  const twists: readonly [object, RegExp][] = [
    [{ model_type: "gemma3" }, /"gemma3".* not supported; supported: llama, qwen2, qwen3, gemma3/],
    [{ model_type: "mixtral" }, /"mixtral"/],
    [{ rope_scaling: { rope_type: "yarn", factor: 4 } }, /rope_type.*"yarn"/],
    [{ rope_scaling: { rope_type: "llama3", factor: 4 } }, /low_freq_factor/],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
    [{ quantization_config: { quant_method: "gptq", bits: 4 } }, /quantization_config/],
    [{ num_experts: 8 }, /num_experts/],
    [{ hidden_act: "gelu_pytorch_tanh" }, /the activation of llama is silu/],
    [{ head_dim: 63 }, /even head size/],
  ];
  for (const [twist, message] of twists) {
    const parsed = parseConfigJson(JSON.stringify({ ...llama?.config, ...twist }));
    assert(!parsed.ok, JSON.stringify(twist));
    assert.match(parsed.error, message);
  }
});
