// A trained model as the files that Hugging Face's transformers loads.
// It writes no disk (node-folder.ts does) and keeps no optimiser state.
import { assert } from "@manyhands/base/assert";
import { utf8 } from "@manyhands/base/bytes";
import {
  contextLimit,
  type ModelConfig,
  parameterCount,
  parameterPlaces,
} from "../model/config.ts";
import { BYTE_VOCAB_SIZE } from "../tokenizer/bytes.ts";
import { tokenizerConfigJson, tokenizerJson } from "../tokenizer/hugging-face.ts";
import { configJson } from "./hf-config-json.ts";
import { type ModelCard, modelCardText } from "./model-card.ts";
import { writeSafetensors } from "./safetensors.ts";

export type ExportFile = { readonly name: string; readonly bytes: Uint8Array };

export type ExportSource = {
  readonly config: ModelConfig;
  /** Flat, in the order of parameterSpecs(config). */
  readonly weights: Float32Array;
  readonly card: ModelCard;
  /** The files of the model's own tokenizer; a model of 256 tokens is one of bytes without them. */
  readonly tokenizer?: readonly ExportFile[] | undefined;
};

/** The names of the files of a byte-level export, in the order in which they are written. */
export const EXPORT_FILE_NAMES = [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
  "README.md",
] as const;

/** All files of an export: the same source gives the same bytes. */
export function exportFiles(source: ExportSource): readonly ExportFile[] {
  const { config, weights, card } = source;
  const file = (name: string, bytes: Uint8Array): ExportFile => ({ name, bytes });
  return [
    file("config.json", utf8(configJson(config))),
    file("generation_config.json", utf8(generationConfigJson())),
    file("model.safetensors", modelSafetensors(config, weights)),
    ...tokenizerFiles(source),
    file("README.md", utf8(modelCardText(card, config))),
  ];
}

function tokenizerFiles({ config, tokenizer }: ExportSource): readonly ExportFile[] {
  if (tokenizer) return tokenizer;
  if (config.vocabSize !== BYTE_VOCAB_SIZE) return [];
  return [
    { name: "tokenizer.json", bytes: utf8(tokenizerJson()) },
    { name: "tokenizer_config.json", bytes: utf8(tokenizerConfigJson(contextLimit(config))) },
  ];
}

/** The weights under Hugging Face's names. A tied head is the embedding, so it is not written. */
function modelSafetensors(config: ModelConfig, weights: Float32Array): Uint8Array {
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
