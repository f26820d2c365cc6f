// tidy-ignore dead-file: it makes folders for tests.
// Model folders for tests, of any shape, with weights from a seed and a tokenizer if one is given.
// It deliberately trains nothing.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configJson } from "../checkpoint/hf-config-json.ts";
import { writeSafetensors } from "../checkpoint/safetensors.ts";
import {
  type Gpt2Config,
  type LlamaConfig,
  type ModelConfig,
  parameterPlaces,
} from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { tokenizerJson } from "../tokenizer/hugging-face.ts";

export const TINY_LLAMA: LlamaConfig = {
  ...{ vocabSize: 256, hiddenSize: 32, intermediateSize: 48, numHiddenLayers: 2 },
  ...{ numAttentionHeads: 4, numKeyValueHeads: 2, maxPositionEmbeddings: 16, rmsNormEps: 1e-6 },
  ...{ ropeTheta: 500, tieWordEmbeddings: false },
};
export const TINY_GPT2: Gpt2Config = {
  ...{ modelType: "gpt2", vocabSize: 256, nPositions: 8, nEmbd: 32, nLayer: 1, nHead: 2 },
  ...{ nInner: 64, layerNormEpsilon: 1e-5, tieWordEmbeddings: true },
};

/** @returns the weights, flat */
export function writeTinyModel(
  folder: string,
  config: ModelConfig,
  files: Readonly<Record<string, string>> = { "tokenizer.json": tokenizerJson() },
): Float32Array {
  const weights = initialWeights(config, 5);
  const tensors = parameterPlaces(config).map(({ name, shape, offset, size }) => {
    return { name, shape, values: weights.subarray(offset, offset + size) };
  });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), configJson(config));
  writeFileSync(join(folder, "model.safetensors"), writeSafetensors(tensors));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return weights;
}
