// A trained model as the files that Hugging Face's transformers loads.
// It writes no disk (node-folder.ts does) and keeps no optimiser state.
import { assert } from "@manyhands/base/assert";
import { utf8 } from "@manyhands/base/bytes";
import { type LlamaConfig, parameterCount, parameterPlaces } from "../model/config.ts";
import { tokenizerConfigJson, tokenizerJson } from "../tokenizer/hugging-face.ts";
import { configJson } from "./hf-config-json.ts";
import { type ModelCard, modelCardText } from "./model-card.ts";
import { writeSafetensors } from "./safetensors.ts";

export type ExportFile = { readonly name: string; readonly bytes: Uint8Array };

export type ExportSource = {
  readonly config: LlamaConfig;
  /** Flat, in the order of parameterSpecs(config). */
  readonly weights: Float32Array;
  readonly card: ModelCard;
};

/** The names of an export's files, in the order in which they are written. */
export const EXPORT_FILE_NAMES = [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
  "README.md",
] as const;
type ExportFileName = (typeof EXPORT_FILE_NAMES)[number];

/** All files of an export: the same source gives the same bytes. */
export function exportFiles(source: ExportSource): readonly ExportFile[] {
  const { config, weights, card } = source;
  const files: Record<ExportFileName, Uint8Array> = {
    "config.json": utf8(configJson(config)),
    "generation_config.json": utf8(generationConfigJson()),
    "model.safetensors": modelSafetensors(config, weights),
    "tokenizer.json": utf8(tokenizerJson()),
    "tokenizer_config.json": utf8(tokenizerConfigJson(config.maxPositionEmbeddings)),
    "README.md": utf8(modelCardText(card, config)),
  };
  return EXPORT_FILE_NAMES.map((name) => ({ name, bytes: files[name] }));
}

/** The weights under Hugging Face's names. A tied head is the embedding, so it is not written. */
function modelSafetensors(config: LlamaConfig, weights: Float32Array): Uint8Array {
  const expected = parameterCount(config);
  assert(weights.length === expected, `expected ${expected} weights, found ${weights.length}`);
  const tensors = parameterPlaces(config).map(({ name, shape, offset, size }) => ({
    name,
    shape,
    values: weights.subarray(offset, offset + size),
  }));
  return writeSafetensors(tensors, { format: "pt" });
}

/** A byte-level model has no token that ends a text; top-k keeps samples from rare bytes. */
function generationConfigJson(): string {
  const fields = {
    do_sample: true,
    temperature: 0.8,
    top_k: 40,
    max_new_tokens: 200,
    bos_token_id: null,
    eos_token_id: null,
    pad_token_id: null,
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}
