// A model's shape (Llama's family, or GPT-2's), its parameters' names and their places in one flat
// array. It deliberately imports no runtime: every peer needs it, also one that never trains.
import { InputError } from "@manyhands/base/errors";

/** Hugging Face's names, in camelCase. */
export type LlamaConfig = {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly tieWordEmbeddings: boolean;
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
  return "modelType" in config && config.modelType === "gpt2";
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
  if (headSize(config) % 2 !== 0 || config.hiddenSize % config.numAttentionHeads !== 0) {
    throw new InputError("model.hiddenSize must be numAttentionHeads × an even head size");
  }
  if (config.numAttentionHeads % config.numKeyValueHeads !== 0) {
    throw new InputError("model.numAttentionHeads must be a multiple of numKeyValueHeads");
  }
  if (!(config.rmsNormEps > 0) || !(config.ropeTheta > 0)) {
    throw new InputError("model.rmsNormEps and model.ropeTheta must be > 0");
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
export function headSize(config: LlamaConfig): number {
  return config.hiddenSize / config.numAttentionHeads;
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
  const { vocabSize, hiddenSize, intermediateSize, numHiddenLayers } = config;
  const keyValueSize = config.numKeyValueHeads * headSize(config);
  const specs: ParameterSpec[] = [
    { name: "model.embed_tokens.weight", shape: [vocabSize, hiddenSize] },
  ];
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    const own = (name: string, ...shape: number[]): number =>
      specs.push({ name: `model.layers.${layer}.${name}.weight`, shape });
    own("input_layernorm", hiddenSize);
    own("self_attn.q_proj", hiddenSize, hiddenSize);
    own("self_attn.k_proj", keyValueSize, hiddenSize);
    own("self_attn.v_proj", keyValueSize, hiddenSize);
    own("self_attn.o_proj", hiddenSize, hiddenSize);
    own("post_attention_layernorm", hiddenSize);
    own("mlp.gate_proj", intermediateSize, hiddenSize);
    own("mlp.up_proj", intermediateSize, hiddenSize);
    own("mlp.down_proj", hiddenSize, intermediateSize);
  }
  specs.push({ name: "model.norm.weight", shape: [hiddenSize] });
  if (!config.tieWordEmbeddings) {
    specs.push({ name: "lm_head.weight", shape: [vocabSize, hiddenSize] });
  }
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
