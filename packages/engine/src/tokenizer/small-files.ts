// The small files of a model in one piece, so that who has a run's blobs can read and write its
// words: docs/spec/08-tuning.md §8.4. Weights are not among them. It opens no files.
import { utf8 } from "@manyhands/base/bytes";
import { canonicalJson } from "@manyhands/base/canonical";
import { type Decoded, nullable, object, text } from "@manyhands/base/decode";
import { InputError } from "@manyhands/base/errors";
import { tokenizerJson } from "./hugging-face.ts";
import { ModelTokenizer } from "./model-tokenizer.ts";
import { byteTokenizer, type TextTokenizer } from "./text-tokenizer.ts";
import { isRecord, parseObject, TOKENIZER_BYTES_MAX } from "./tokenizer-json.ts";

/** What is taken along, where it is there; a tokenizer.json has all that older forms have. */
export const SMALL_FILES: readonly string[] = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];

const NAME_CHARS_MAX = 4_096;

const originDecoder = object({
  /** "org/name", or the folder's own name. */
  name: text(NAME_CHARS_MAX),
  /** The commit on the hub. */
  revision: nullable(text(NAME_CHARS_MAX)),
});

export type SmallFiles = Decoded<typeof originDecoder> & {
  /** Contents by name: some of SMALL_FILES. */
  readonly files: Readonly<Record<string, string>>;
};

export function encodeSmallFiles({ name, revision, files }: SmallFiles): Uint8Array {
  return utf8(canonicalJson({ name, revision, files }));
}

/** @throws InputError if it is something else */
export function decodeSmallFiles(bytes: Uint8Array): SmallFiles {
  const value = bytes.length <= TOKENIZER_BYTES_MAX ? parsed(bytes) : undefined;
  if (!isRecord(value) || !isRecord(value["files"])) throw unreadable("it is no list of files");
  const { files, ...own } = value;
  const origin = originDecoder(own);
  if (!origin.ok) throw unreadable(`its ${origin.error.path.join(".")} is not sound`);
  const found = Object.entries(files);
  const strange = found.find(([name, content]) => {
    return !SMALL_FILES.includes(name) || typeof content !== "string";
  });
  if (strange) throw unreadable(`it has no business with ${JSON.stringify(strange[0])}`);
  const contents = found.map(([name, content]) => [name, String(content)] as const);
  return { ...origin.value, files: Object.fromEntries(contents) };
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // No text, or no JSON: the caller says so.
    return undefined;
  }
}

function unreadable(why: string): InputError {
  const hint = "ask the run's owner: the coordinator gave what the run does not need";
  return new InputError(`the model's small files cannot be read: ${why}`, { hint });
}

/**
 * The tokenizer among them.
 *
 * @param vocabSize the model's; without a tokenizer.json, one of 256 is one of bytes
 * @throws InputError if there is none, or it is of another model
 */
export function tokenizerOf({ files }: SmallFiles, vocabSize: number): TextTokenizer {
  const tokenizer = files["tokenizer.json"];
  if (tokenizer === undefined && vocabSize === byteTokenizer().vocabSize) return byteTokenizer();
  if (tokenizer === undefined) throw unreadable("there is no tokenizer.json");
  if (tokenizer === tokenizerJson()) return byteTokenizer();
  const own = new ModelTokenizer({
    tokenizer,
    config: files["tokenizer_config.json"],
    chatTemplate: files["chat_template.jinja"],
  });
  if (own.vocabSize <= vocabSize) return own;
  throw unreadable(`its tokenizer has ${own.vocabSize} tokens, the model only ${vocabSize}`);
}

/** The tokens after which the model's makers stop: the tokenizer's own, and what configs name. */
export function stopIdsOf(
  files: Readonly<Record<string, string>>,
  { eosId }: Pick<TextTokenizer, "eosId">,
): readonly number[] {
  const named = ["generation_config.json", "config.json"].flatMap((name) => {
    const own = files[name] === undefined ? {} : parseObject(files[name], name);
    return [own["eos_token_id"]].flat();
  });
  const ids = [eosId, ...named].filter((id) => typeof id === "number");
  return [...new Set(ids)].filter((id) => Number.isSafeInteger(id) && id >= 0);
}
