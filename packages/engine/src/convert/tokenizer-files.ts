// A model folder's tokenizer files, for who writes them into another format. Node only; it judges
// nothing that is in them.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError, messageOf } from "@manyhands/base/errors";
import { ModelFileError, readModelText } from "../checkpoint/model-files.ts";
import { fieldsOf, type Json } from "../gguf/json.ts";
import type { VocabularyFiles } from "../gguf/vocabulary.ts";
import { BYTE_VOCAB_SIZE } from "../tokenizer/bytes.ts";
import { tokenizerJson } from "../tokenizer/hugging-face.ts";
import { TOKENIZER_BYTES_MAX } from "../tokenizer/tokenizer-json.ts";

/**
 * What a folder says of its tokens. A model of 256 without a tokenizer is one of bytes.
 *
 * @throws InputError if there is no tokenizer.json, or a file is no JSON
 */
export async function readVocabularyFiles(
  folder: string,
  vocabSize: number,
): Promise<VocabularyFiles> {
  const names = await readdir(folder);
  const own = names.includes("tokenizer.json");
  if (!own && vocabSize !== BYTE_VOCAB_SIZE) {
    throw new InputError(`${folder} has no tokenizer.json`, {
      hint: "save the tokenizer with transformers' save_pretrained, and try again",
    });
  }
  const read = async (name: string): Promise<Json> =>
    names.includes(name) ? readJson(join(folder, name)) : {};
  const tokenizerConfig = await read("tokenizer_config.json");
  const template = names.includes("chat_template.jinja")
    ? await readModelText(join(folder, "chat_template.jinja"), TOKENIZER_BYTES_MAX)
    : templateIn(tokenizerConfig["chat_template"]);
  return {
    tokenizer: own ? await read("tokenizer.json") : fieldsOf(JSON.parse(tokenizerJson())),
    tokenizerConfig,
    config: await read("config.json"),
    chatTemplate: template,
  };
}

async function readJson(path: string): Promise<Json> {
  const text = await readModelText(path, TOKENIZER_BYTES_MAX);
  try {
    return fieldsOf(JSON.parse(text));
  } catch (cause) {
    const reason = `it is no JSON: ${messageOf(cause)}`;
    throw new ModelFileError({ code: "import/config", file: path, reason }, cause);
  }
}

/** A template by itself, or the one of several that is called "default". */
function templateIn(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const own = value.map(fieldsOf).find(({ name }) => name === "default")?.["template"];
  return typeof own === "string" ? own : undefined;
}
