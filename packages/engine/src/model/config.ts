// A model's shape (Llama's family, or GPT-2's), its parameters' names and their places in one flat
// array. It deliberately imports no runtime: every peer needs it, also one that never trains.
import { InputError } from "@manyhands/base/errors";

/** How rotary frequencies are stretched for contexts longer than those of pre-training. */
export type RopeScaling =
  | { readonly ropeType: "linear"; readonly factor: number }
  | {
      readonly ropeType: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    };

export type LayerType = "full_attention" | "sliding_attention";

/** Llama's relatives, by Hugging Face's model types. */
export type FamilyType = "qwen2" | "qwen3" | "gemma3_text" | "bitnet";

/**
 * Llama and its relatives, by Hugging Face's names in camelCase. What is optional is absent where
 * it has its default, so that a plain Llama has one form only: run ids are hashes of it.
 */
export type LlamaConfig = {
  /** Absent for Llama itself. */
  readonly modelType?: FamilyType;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  /** Default: hiddenSize / numAttentionHeads. */
  readonly headDim?: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling?: RopeScaling;
  readonly tieWordEmbeddings: boolean;
  /** Biases of q, k, v and o. Qwen2 has those of q, k and v in any case. */
  readonly attentionBias?: boolean;
  /** Biases of gate, up and down: Llama only. */
  readonly mlpBias?: boolean;
  /** A sliding layer's token sees itself and the slidingWindow − 1 tokens before it. */
  readonly slidingWindow?: number;
  /** One per layer, or absent if all see everything before them. */
  readonly layerTypes?: readonly LayerType[];
  /** Theta of sliding layers, which have no scaling: Gemma 3 only. */
  readonly ropeLocalBaseFreq?: number;
  /** Scores are divided by its root. Default: the head size. Gemma 3 only. */
  readonly queryPreAttnScalar?: number;
  /**
   * BitNet's matrix products: what a block's matrices multiply goes through 8 bits. `offline`
   * weights are ternary already; `online` ones are made ternary wherever they are used.
   */
  readonly bitLinear?: "offline" | "online";
};

/** GPT-2's own names in camelCase. Its activation is GELU by tanh ("gelu_new"). */
export type Gpt2Config = {
  readonly modelType: "gpt2";
  readonly vocabSize: number;
  /** The longest context: positions are learned. */
  readonly nPositions: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nInner: number;
  readonly layerNormEpsilon: number;
  readonly tieWordEmbeddings: boolean;
};

/** A config without a modelType is a Llama. */
export type ModelConfig = LlamaConfig | Gpt2Config;

export function isGpt2(config: ModelConfig): config is Gpt2Config {
  return config.modelType === "gpt2";
}

/** Every architecture that this engine can run, by Hugging Face's model types. */
export const SUPPORTED_ARCHITECTURES = [
  "llama",
  "qwen2",
  "qwen3",
  "gemma3_text",
  "gpt2",
  "bitnet",
] as const;
export type Architecture = (typeof SUPPORTED_ARCHITECTURES)[number];

export function architectureOf(config: ModelConfig): Architecture {
  return config.modelType ?? "llama";
}

/** What a relative of Llama's does differently, each as small as it can be. */
export type Features = {
  readonly activation: "silu" | "gelu" | "relu2";
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMSNorm of each query and each key, before they are rotated. */
  readonly headNorms: boolean;
  /** RMSNorm before o_proj and before down_proj. */
  readonly subNorms: boolean;
  /** RMSNorm after each half of a block too, before it is added. */
  readonly sandwichNorms: boolean;
  /** A norm's gain is its weight + this. */
  readonly gainOffset: 0 | 1;
  /** Embeddings are multiplied by it. */
  readonly embeddingScale: number;
  /** Scores are multiplied by it. */
  readonly attentionScale: number;
};

export function featuresOf(config: LlamaConfig): Features {
  const type = config.modelType;
  const gemma = type === "gemma3_text";
  return {
    activation: gemma ? "gelu" : type === "bitnet" ? "relu2" : "silu",
    qkvBias: type === "qwen2" || config.attentionBias === true,
    outputBias: config.attentionBias === true,
    mlpBias: config.mlpBias === true,
    headNorms: gemma || type === "qwen3",
    subNorms: type === "bitnet",
    sandwichNorms: gemma,
    gainOffset: gemma ? 1 : 0,
    embeddingScale: gemma ? Math.fround(Math.sqrt(config.hiddenSize)) : 1,
    attentionScale: 1 / Math.sqrt(config.queryPreAttnScalar ?? headSize(config)),
  };
}

/** Whether a layer sees only the slidingWindow tokens that end with its own. */
export function isSliding(config: LlamaConfig, layer: number): boolean {
  return config.layerTypes?.[layer] === "sliding_attention";
}

export type ParameterSpec = { readonly name: string; readonly shape: readonly number[] };

/** A parameter's place: elements offset … offset + size − 1 of the flat weights. */
export type ParameterPlace = ParameterSpec & { readonly offset: number; readonly size: number };

const LLAMA_COUNTS = [
  "vocabSize",
  "hiddenSize",
  "intermediateSize",
  "numHiddenLayers",
  "numAttentionHeads",
  "numKeyValueHeads",
  "maxPositionEmbeddings",
] as const;
const GPT2_COUNTS = ["vocabSize", "nPositions", "nEmbd", "nLayer", "nHead", "nInner"] as const;

/** @throws InputError if the numbers do not make a model */
export function checkConfig(config: ModelConfig): void {
  if (isGpt2(config)) {
    checkGpt2(config);
    return;
  }
  for (const key of LLAMA_COUNTS) checkCount(key, config[key]);
  if (headSize(config) % 2 !== 0 || !Number.isSafeInteger(headSize(config))) {
    throw new InputError("model.hiddenSize must be numAttentionHeads × an even head size", {
      hint: "or name the width of a head as headDim, an even number",
    });
  }
  if (config.numAttentionHeads % config.numKeyValueHeads !== 0) {
    throw new InputError("model.numAttentionHeads must be a multiple of numKeyValueHeads");
  }
  if (!(config.rmsNormEps > 0) || !(config.ropeTheta > 0)) {
    throw new InputError("model.rmsNormEps and model.ropeTheta must be > 0");
  }
  checkOptions(config);
}

/** What only some have: a field that this architecture would ignore is refused. */
function checkOptions(config: LlamaConfig): void {
  const { modelType, slidingWindow, layerTypes } = config;
  for (const key of ["headDim", "slidingWindow"] as const) {
    if (config[key] !== undefined) checkCount(key, config[key]);
  }
  for (const [key, owner] of OWNED) {
    if (config[key] !== undefined && modelType !== owner) {
      throw new InputError(`model.${key} belongs to ${owner ?? "llama"}, not ${modelType}`);
    }
  }
  for (const key of ["queryPreAttnScalar", "ropeLocalBaseFreq"] as const) {
    if (config[key] !== undefined && !(config[key] > 0)) {
      throw new InputError(`model.${key} must be > 0`);
    }
  }
  if (layerTypes !== undefined && layerTypes.length !== config.numHiddenLayers) {
    throw new InputError("model.layerTypes must name each of the numHiddenLayers layers");
  }
  if (layerTypes?.includes("sliding_attention") && slidingWindow === undefined) {
    throw new InputError("model.layerTypes has sliding layers, but there is no slidingWindow");
  }
  checkScaling(config.ropeScaling);
}

const OWNED = [
  ["mlpBias", undefined],
  ["queryPreAttnScalar", "gemma3_text"],
  ["ropeLocalBaseFreq", "gemma3_text"],
] as const;

function checkScaling(scaling: RopeScaling | undefined): void {
  if (scaling === undefined) return;
  const { ropeType, ...numbers } = scaling;
  if (!Object.values(numbers).every((value) => value > 0 && Number.isFinite(value))) {
    throw new InputError(`model.ropeScaling: the numbers of "${ropeType}" must be > 0`);
  }
  if (scaling.ropeType === "llama3" && !(scaling.highFreqFactor > scaling.lowFreqFactor)) {
    throw new InputError("model.ropeScaling.highFreqFactor must exceed lowFreqFactor");
  }
}

function checkGpt2(config: Gpt2Config): void {
  for (const key of GPT2_COUNTS) checkCount(key, config[key]);
  if (config.nEmbd % config.nHead !== 0) {
    throw new InputError("model.nEmbd must be a multiple of nHead");
  }
  if (!(config.layerNormEpsilon > 0)) throw new InputError("model.layerNormEpsilon must be > 0");
}

function checkCount(key: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InputError(`model.${key} must be an integer ≥ 1, found ${value}`);
  }
}

/** D, the width of one head. */
export function headSize(config: ModelConfig): number {
  if (isGpt2(config)) return config.nEmbd / config.nHead;
  return config.headDim ?? config.hiddenSize / config.numAttentionHeads;
}

/** KV, the heads that have keys and values of their own. */
export function keyValueHeads(config: ModelConfig): number {
  return isGpt2(config) ? config.nHead : config.numKeyValueHeads;
}

/** L. */
export function layerCount(config: ModelConfig): number {
  return isGpt2(config) ? config.nLayer : config.numHiddenLayers;
}

/** The longest context that the model was made for. */
export function contextLimit(config: ModelConfig): number {
  return isGpt2(config) ? config.nPositions : config.maxPositionEmbeddings;
}

/**
 * Every parameter, in the fixed order in which they lie in the flat weights: Hugging Face's names,
 * matrices as there: [out, in] in Llama, [in, out] in GPT-2's blocks. Matrices that read the same
 * input are neighbours (q, k, v; gate, up), so that the engine can multiply them as one.
 *
 * @throws InputError if the config is not a model
 */
export function parameterSpecs(config: ModelConfig): readonly ParameterSpec[] {
  checkConfig(config);
  return isGpt2(config) ? gpt2Specs(config) : llamaSpecs(config);
}

function llamaSpecs(config: LlamaConfig): readonly ParameterSpec[] {
  const { vocabSize, hiddenSize } = config;
  const specs: ParameterSpec[] = [
    { name: "model.embed_tokens.weight", shape: [vocabSize, hiddenSize] },
  ];
  const block = blockSpecs(config);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    specs.push(
      ...block.map(({ name, shape }) => ({ name: `model.layers.${layer}.${name}`, shape })),
    );
  }
  specs.push({ name: "model.norm.weight", shape: [hiddenSize] });
  if (!config.tieWordEmbeddings) {
    specs.push({ name: "lm_head.weight", shape: [vocabSize, hiddenSize] });
  }
  return specs;
}

/** A block's parameters, in their order. */
function blockSpecs(config: LlamaConfig): readonly ParameterSpec[] {
  const { hiddenSize, intermediateSize } = config;
  const features = featuresOf(config);
  const width = headSize(config);
  const querySize = config.numAttentionHeads * width;
  const keyValueSize = config.numKeyValueHeads * width;
  const qkv = { q_proj: querySize, k_proj: keyValueSize, v_proj: keyValueSize };
  const specs: ParameterSpec[] = [];
  const own = (name: string, ...shape: number[]): number => specs.push({ name, shape });
  const norm = (present: boolean, name: string, size: number): void => {
    if (present) own(`${name}.weight`, size);
  };
  const matrix = (name: string, bias: boolean, out: number, input: number): void => {
    own(`${name}.weight`, out, input);
    if (bias) own(`${name}.bias`, out);
  };
  norm(true, "input_layernorm", hiddenSize);
  for (const [name, size] of Object.entries(qkv)) own(`self_attn.${name}.weight`, size, hiddenSize);
  for (const [name, size] of Object.entries(qkv)) {
    if (features.qkvBias) own(`self_attn.${name}.bias`, size);
  }
  norm(features.headNorms, "self_attn.q_norm", width);
  norm(features.headNorms, "self_attn.k_norm", width);
  norm(features.subNorms, "self_attn.attn_sub_norm", querySize);
  matrix("self_attn.o_proj", features.outputBias, hiddenSize, querySize);
  norm(true, "post_attention_layernorm", hiddenSize);
  norm(features.sandwichNorms, "pre_feedforward_layernorm", hiddenSize);
  matrix("mlp.gate_proj", features.mlpBias, intermediateSize, hiddenSize);
  matrix("mlp.up_proj", features.mlpBias, intermediateSize, hiddenSize);
  norm(features.subNorms, "mlp.ffn_sub_norm", intermediateSize);
  matrix("mlp.down_proj", features.mlpBias, hiddenSize, intermediateSize);
  norm(features.sandwichNorms, "post_feedforward_layernorm", hiddenSize);
  return specs;
}

function gpt2Specs(config: Gpt2Config): readonly ParameterSpec[] {
  const { vocabSize, nPositions, nEmbd, nInner } = config;
  const specs: ParameterSpec[] = [
    { name: "transformer.wte.weight", shape: [vocabSize, nEmbd] },
    { name: "transformer.wpe.weight", shape: [nPositions, nEmbd] },
  ];
  const own = (name: string, ...shape: number[]): void => {
    specs.push({ name: `${name}.weight`, shape });
    specs.push({ name: `${name}.bias`, shape: shape.slice(-1) });
  };
  for (let layer = 0; layer < config.nLayer; layer++) {
    const block = `transformer.h.${layer}`;
    own(`${block}.ln_1`, nEmbd);
    own(`${block}.attn.c_attn`, nEmbd, 3 * nEmbd);
    own(`${block}.attn.c_proj`, nEmbd, nEmbd);
    own(`${block}.ln_2`, nEmbd);
    own(`${block}.mlp.c_fc`, nEmbd, nInner);
    own(`${block}.mlp.c_proj`, nInner, nEmbd);
  }
  own("transformer.ln_f", nEmbd);
  if (!config.tieWordEmbeddings) specs.push({ name: "lm_head.weight", shape: [vocabSize, nEmbd] });
  return specs;
}

/** The parameters with their places in the flat weights. */
export function parameterPlaces(config: ModelConfig): readonly ParameterPlace[] {
  let offset = 0;
  return parameterSpecs(config).map((spec) => {
    const size = spec.shape.reduce((product, dim) => product * dim, 1);
    const place = { ...spec, offset, size };
    offset += size;
    return place;
  });
}

/** The number of weights. */
export function parameterCount(config: ModelConfig): number {
  return parameterPlaces(config).reduce((sum, place) => sum + place.size, 0);
}

/** Whether a parameter is a matrix of a block: what Muon updates. */
export function isBlockMatrix(spec: ParameterSpec): boolean {
  return spec.shape.length === 2 && /^(model\.layers|transformer\.h)\./.test(spec.name);
}

/** Whether a matrix is stored as [in, out], as those of GPT-2's blocks are, not as [out, in]. */
export function isInputMajor(spec: ParameterSpec): boolean {
  return spec.name.startsWith("transformer.h.");
}
