// A Llama-family model's shape, its parameters' names and their places in one flat array.
// It deliberately imports no runtime: every peer needs it, also one that never trains.
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

export type ParameterSpec = { readonly name: string; readonly shape: readonly number[] };

/** A parameter's place: elements offset … offset + size − 1 of the flat weights. */
export type ParameterPlace = ParameterSpec & { readonly offset: number; readonly size: number };

const COUNTS = [
  "vocabSize",
  "hiddenSize",
  "intermediateSize",
  "numHiddenLayers",
  "numAttentionHeads",
  "numKeyValueHeads",
  "maxPositionEmbeddings",
] as const;

/** @throws InputError if the numbers do not make a model */
export function checkConfig(config: LlamaConfig): void {
  for (const key of COUNTS) {
    const value = config[key];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new InputError(`model.${key} must be an integer ≥ 1, found ${value}`);
    }
  }
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

/** D, the width of one head. */
export function headSize(config: LlamaConfig): number {
  return config.hiddenSize / config.numAttentionHeads;
}

/**
 * Every parameter, in the fixed order in which they lie in the flat weights: Hugging Face's names,
 * matrices as [out, in]. Matrices that read the same input are neighbours (q, k, v; gate, up), so
 * that the engine can multiply them as one.
 *
 * @throws InputError if the config is not a model
 */
export function parameterSpecs(config: LlamaConfig): readonly ParameterSpec[] {
  checkConfig(config);
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

/** The parameters with their places in the flat weights. */
export function parameterPlaces(config: LlamaConfig): readonly ParameterPlace[] {
  let offset = 0;
  return parameterSpecs(config).map((spec) => {
    const size = spec.shape.reduce((product, dim) => product * dim, 1);
    const place = { ...spec, offset, size };
    offset += size;
    return place;
  });
}

/** The number of weights. */
export function parameterCount(config: LlamaConfig): number {
  return parameterPlaces(config).reduce((sum, place) => sum + place.size, 0);
}
