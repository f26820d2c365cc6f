// A model's shape as llama.cpp's metadata, and what llama.cpp would compute differently: such a
// model is refused, never written. The vocabulary is in vocabulary.ts.
// @source ggml's docs/gguf.md; llama.cpp's src/models/*.cpp for what each architecture computes
import { err, ok, type Result } from "@manyhands/base/result";
import {
  architectureOf,
  featuresOf,
  type Gpt2Config,
  headSize,
  isGpt2,
  type LlamaConfig,
  type ModelConfig,
  type RopeScaling,
} from "../model/config.ts";
import type { BlockType } from "./blocks.ts";
import type { GgufMetadata, GgufValue } from "./format.ts";

/** llama.cpp's number for what most matrices of a file are. */
const FILE_TYPES: Readonly<Record<BlockType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7 };
/** The version of the blocks' layout: Q4_0 and Q8_0 as they are since 2023. */
const QUANTIZATION_VERSION = 2;
/** Every sixth layer of Gemma 3 sees everything; llama.cpp has that in its code. */
const GEMMA_PATTERN = 6;
/** llama.cpp scales the scores of a Gemma with so many layers (27B) differently. */
const GEMMA_27B_LAYERS = 62;

const u32 = (value: number): GgufValue => ({ type: "u32", value });
const f32 = (value: number): GgufValue => ({ type: "f32", value });
const string = (value: string): GgufValue => ({ type: "string", value });

/** The metadata of a model without its vocabulary, or why llama.cpp cannot run it. */
export function modelMetadata(
  config: ModelConfig,
  { name, type }: { readonly name: string; readonly type: BlockType },
): Result<GgufMetadata, string> {
  const reason = isGpt2(config) ? undefined : familyReason(config);
  if (reason !== undefined) return err(reason);
  const architecture = isGpt2(config) ? "gpt2" : llamaCppName(config);
  const shape = isGpt2(config) ? gpt2Shape(config) : familyShape(config);
  return ok([
    ["general.architecture", string(architecture)],
    ["general.type", string("model")],
    ["general.name", string(name)],
    ["general.file_type", u32(FILE_TYPES[type])],
    ["general.quantization_version", u32(QUANTIZATION_VERSION)],
    ...shape.map(([key, value]) => [`${architecture}.${key}`, value] as const),
  ]);
}

function llamaCppName(config: LlamaConfig): string {
  const architecture = architectureOf(config);
  return architecture === "gemma3_text" ? "gemma3" : architecture;
}

function familyReason(config: LlamaConfig): string | undefined {
  const { modelType, ropeScaling, layerTypes } = config;
  if (modelType === "bitnet") {
    return "llama.cpp's bitnet has SiLU and whole activations; this one has relu² and 8 bits";
  }
  if (ropeScaling?.ropeType === "llama3" && modelType !== undefined) {
    return `llama.cpp stretches frequencies as Llama 3 does for llama only, not ${modelType}`;
  }
  if (config.attentionBias === true && modelType !== undefined) {
    return `llama.cpp's ${modelType} has no attention_bias`;
  }
  if (modelType === "gemma3_text") return gemmaReason(config);
  return layerTypes === undefined
    ? undefined
    : `llama.cpp's ${modelType ?? "llama"} has no sliding layers`;
}

function gemmaReason({ layerTypes, numHiddenLayers }: LlamaConfig): string | undefined {
  const expected = Array.from({ length: numHiddenLayers }, (_, layer) =>
    (layer + 1) % GEMMA_PATTERN === 0 ? "full_attention" : "sliding_attention",
  );
  if (layerTypes?.join() !== expected.join()) {
    return "llama.cpp's gemma3 has full attention in every sixth layer and sliding ones elsewhere";
  }
  return numHiddenLayers === GEMMA_27B_LAYERS
    ? "llama.cpp takes a gemma3 of 62 layers for the 27B, whose scores are scaled differently"
    : undefined;
}

function gpt2Shape(config: Gpt2Config): GgufMetadata {
  return [
    ["context_length", u32(config.nPositions)],
    ["embedding_length", u32(config.nEmbd)],
    ["block_count", u32(config.nLayer)],
    ["feed_forward_length", u32(config.nInner)],
    ["attention.head_count", u32(config.nHead)],
    ["attention.layer_norm_epsilon", f32(config.layerNormEpsilon)],
    ["vocab_size", u32(config.vocabSize)],
  ];
}

function familyShape(config: LlamaConfig): GgufMetadata {
  const width = headSize(config);
  return [
    ["context_length", u32(config.maxPositionEmbeddings)],
    ["embedding_length", u32(config.hiddenSize)],
    ["block_count", u32(config.numHiddenLayers)],
    ["feed_forward_length", u32(config.intermediateSize)],
    ["attention.head_count", u32(config.numAttentionHeads)],
    ["attention.head_count_kv", u32(config.numKeyValueHeads)],
    ["attention.key_length", u32(width)],
    ["attention.value_length", u32(width)],
    ["attention.layer_norm_rms_epsilon", f32(config.rmsNormEps)],
    ["rope.dimension_count", u32(width)],
    ["rope.freq_base", f32(config.ropeTheta)],
    ...scaling(config.ropeScaling),
    ...windows(config),
    ["vocab_size", u32(config.vocabSize)],
  ];
}

function scaling(rule: RopeScaling | undefined): GgufMetadata {
  if (rule?.ropeType !== "linear") return [];
  return [
    ["rope.scaling.type", string("linear")],
    ["rope.scaling.factor", f32(rule.factor)],
  ];
}

function windows(config: LlamaConfig): GgufMetadata {
  if (config.slidingWindow === undefined || !featuresOf(config).sandwichNorms) return [];
  return [
    ["attention.sliding_window", u32(config.slidingWindow)],
    ["rope.freq_base_swa", f32(config.ropeLocalBaseFreq ?? config.ropeTheta)],
  ];
}

/**
 * Llama 3's stretched frequencies: what llama.cpp divides each pair's frequency by; undefined if
 * there is nothing to divide.
 *
 * @returns D / 2 factors
 */
export function ropeFactors(config: ModelConfig): Float32Array | undefined {
  if (isGpt2(config) || config.ropeScaling?.ropeType !== "llama3") return undefined;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } =
    config.ropeScaling;
  const width = headSize(config);
  return Float32Array.from({ length: width / 2 }, (_, pair) => {
    const wavelength = 2 * Math.PI * config.ropeTheta ** ((2 * pair) / width);
    const turns = originalMaxPositionEmbeddings / wavelength;
    if (turns > highFreqFactor) return 1;
    if (turns < lowFreqFactor) return factor;
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
