// The tokenizer in a model's folder, beside config.json. Node only.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";
import { tokenizerJson } from "./hugging-face.ts";
import { ModelTokenizer } from "./model-tokenizer.ts";
import { byteTokenizer, type TextTokenizer } from "./text-tokenizer.ts";
import { TOKENIZER_BYTES_MAX } from "./tokenizer-json.ts";

const OTHER_KINDS = ["tokenizer.model", "vocab.json", "tekken.json"];

/**
 * The model's own tokenizer: its tokenizer.json, or bytes where the project itself made the model.
 *
 * @param folder        holds config.json
 * @param vocabSize     the model's; a folder without a tokenizer is one of bytes if that is 256
 * @param chatTemplate  a Jinja template that goes before the folder's own
 * @throws InputError   if there is none, or it is of a kind that is not supported
 */
export async function readTokenizer(
  folder: string,
  vocabSize: number,
  chatTemplate?: string,
): Promise<TextTokenizer> {
  const tokenizer = await textOf(folder, "tokenizer.json");
  if (tokenizer === undefined) return withoutFile(folder, vocabSize, chatTemplate);
  if (tokenizer === tokenizerJson()) return byteTokenizer(chatTemplate);
  const found = new ModelTokenizer({
    tokenizer,
    config: await textOf(folder, "tokenizer_config.json"),
    chatTemplate: chatTemplate ?? (await textOf(folder, "chat_template.jinja")),
  });
  if (found.vocabSize <= vocabSize) return found;
  throw new InputError(
    `${join(folder, "tokenizer.json")} has ${found.vocabSize} tokens, the model only ${vocabSize}`,
    { hint: "the tokenizer belongs to another model: fetch both again" },
  );
}

async function withoutFile(
  folder: string,
  vocabSize: number,
  chatTemplate: string | undefined,
): Promise<TextTokenizer> {
  for (const name of OTHER_KINDS) {
    if ((await sizeOf(join(folder, name))) === undefined) continue;
    throw new InputError(`${folder} has ${name}, but no tokenizer.json`, {
      hint: "transformers writes one: AutoTokenizer.from_pretrained(…).save_pretrained(folder)",
    });
  }
  if (vocabSize === byteTokenizer().vocabSize) return byteTokenizer(chatTemplate);
  throw new InputError(`${folder} has no tokenizer.json`, {
    hint: "fetch the model again, with its tokenizer",
  });
}

async function textOf(folder: string, name: string): Promise<string | undefined> {
  const path = join(folder, name);
  const size = await sizeOf(path);
  if (size === undefined) return undefined;
  if (size <= TOKENIZER_BYTES_MAX) return await readFile(path, "utf8");
  throw new InputError(`${path} has ${size} bytes; no tokenizer is as large as that`, {
    hint: "fetch the model again",
  });
}

/** The size of a regular file, or undefined if there is none of that name. */
async function sizeOf(path: string): Promise<number | undefined> {
  const kind = await stat(path).catch(() => undefined);
  return kind?.isFile() ? kind.size : undefined;
}
