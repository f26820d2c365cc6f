// A model folder's tokenizer files, for who writes them into another format. Node only; it judges
// nothing that is in them.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError, messageOf } from "@manyhands/base/errors";
import { ModelFileError, readModelText } from "../checkpoint/model-files.ts";
import { fieldsOf, type Json } from "../gguf/json.ts";
import type { VocabularyFiles } from "../gguf/vocabulary.ts";

const JSON_BYTES_MAX = 200_000_000;
const TEMPLATE_BYTES_MAX = 1_000_000;

/**
 * What a folder says of its tokens.
 *
 * @throws InputError if there is no tokenizer.json, or a file is no JSON
 */
export async function readVocabularyFiles(folder: string): Promise<VocabularyFiles> {
  const names = await readdir(folder);
  if (!names.includes("tokenizer.json")) {
    throw new InputError(`${folder} has no tokenizer.json`, {
      hint: "save the tokenizer with transformers' save_pretrained, and try again",
    });
  }
  const read = async (name: string): Promise<Json> =>
    names.includes(name) ? readJson(join(folder, name)) : {};
  const tokenizerConfig = await read("tokenizer_config.json");
  const template = names.includes("chat_template.jinja")
    ? await readModelText(join(folder, "chat_template.jinja"), TEMPLATE_BYTES_MAX)
    : templateIn(tokenizerConfig["chat_template"]);
  return {
    tokenizer: await read("tokenizer.json"),
    tokenizerConfig,
    config: await read("config.json"),
    chatTemplate: template,
  };
}

async function readJson(path: string): Promise<Json> {
  const text = await readModelText(path, JSON_BYTES_MAX);
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
