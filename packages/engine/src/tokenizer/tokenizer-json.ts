// A model's tokenizer.json, checked and made ready for the library that runs its parts. What would
// be read otherwise than Hugging Face's `tokenizers` reads it is refused by name, or written anew.
// Added tokens are not the library's: added-tokens.ts.
import { InputError, messageOf } from "@manyhands/base/errors";
import type { AddedToken } from "./added-tokens.ts";

export type Json = { readonly [key: string]: unknown };

export type TokenizerParts = {
  /** For the library: without added tokens and without a decoder. */
  readonly pipeline: Json;
  readonly added: readonly AddedToken[];
  readonly decoder: unknown;
  readonly postProcessor: unknown;
};

/** Greater than any published tokenizer by a factor of ten. */
export const TOKENIZER_BYTES_MAX = 400_000_000;
/** Ids are places in a list; no model has as many rows as that. */
const ID_COUNT_MAX = 1 << 22;
const HINT =
  "byte-pair tokenizers are supported, as Llama, SmolLM2, Qwen, Gemma, GPT-2 and BitNet have";
/** GPT-2's words, as `tokenizers` has them: \s in Oniguruma's sense, which the library restores. */
const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * @param text  tokenizer.json
 * @param names the control tokens that tokenizer_config.json names (BOS, EOS, …)
 * @throws InputError saying what is unsupported
 */
export function parseTokenizerJson(text: string, names: ReadonlySet<string>): TokenizerParts {
  const json = parseObject(text, "tokenizer.json");
  const model = record(json["model"], "model");
  checkModel(model);
  const normalizer = json["normalizer"] ?? null;
  const pipeline = {
    ...{ version: "1.0", added_tokens: [], decoder: null, post_processor: null },
    normalizer,
    pre_tokenizer: preTokenizer(json["pre_tokenizer"] ?? null, normalizer),
    model,
  };
  const added = list(json["added_tokens"] ?? [], "added_tokens").map((each) =>
    addedToken(record(each, "added_tokens"), names),
  );
  return { pipeline, added, decoder: json["decoder"], postProcessor: json["post_processor"] };
}

/** @throws InputError if the text is no JSON object */
export function parseObject(text: string, file: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${file} is no JSON: ${messageOf(cause)}`, { cause, hint: FETCH_HINT });
  }
  if (!isRecord(value)) throw new InputError(`${file} is no JSON object`, { hint: FETCH_HINT });
  return value;
}

const FETCH_HINT = "fetch the model again";

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkModel(model: Json): void {
  // Files of before 2021 do not name the type of the only one there was.
  const type = model["type"] ?? ("merges" in model ? "BPE" : undefined);
  if (type !== "BPE") throw unsupported(`a model of type ${JSON.stringify(type)}`);
  for (const [name, neutral] of NEUTRAL) {
    const value = model[name] ?? neutral;
    if (value !== neutral && value !== "") throw unsupported(`model.${name}`);
  }
  const vocab = record(model["vocab"], "model.vocab");
  const sound = Object.values(vocab).every(isId);
  if (!sound)
    throw new InputError("tokenizer.json: an id in model.vocab is no number", { hint: HINT });
  list(model["merges"], "model.merges");
}

/** Options of BPE whose other values would be read otherwise. */
const NEUTRAL: readonly (readonly [string, unknown])[] = [
  ["dropout", null],
  ["continuing_subword_prefix", null],
  ["end_of_word_suffix", null],
];

/**
 * The pre-tokenizer for the library: GPT-2's words as an expression of their own, and without the
 * cut at spaces after a normalizer that has left no space (Gemma), which the library cannot do.
 */
function preTokenizer(config: unknown, normalizer: unknown): unknown {
  if (!isRecord(config)) return config;
  if (config["type"] === "Sequence") {
    const parts = list(config["pretokenizers"], "pretokenizers");
    const kept = parts
      .map((part) => preTokenizer(part, normalizer))
      .filter((part) => part !== null);
    return { ...config, pretokenizers: kept };
  }
  if (config["type"] === "ByteLevel") {
    // The library adds the prefix space before it looks for words; so only without one.
    if (config["use_regex"] === false || config["add_prefix_space"] === true) return config;
    const words = { type: "Split", pattern: { Regex: GPT2_WORDS }, behavior: "Isolated" };
    const bytes = { ...config, use_regex: false };
    return { type: "Sequence", pretokenizers: [{ ...words, invert: false }, bytes] };
  }
  if (config["type"] === "Digits") {
    // The library takes decimal digits only, where `tokenizers` takes ½ and Ⅻ too.
    const pattern = { Regex: config["individual_digits"] === true ? "\\p{N}" : "\\p{N}+" };
    return { type: "Split", pattern, behavior: "Isolated", invert: false };
  }
  if (config["type"] === "Metaspace") {
    if (config["split"] === false) return config;
    throw unsupported("a Metaspace pre-tokenizer that cuts at spaces");
  }
  if (config["type"] !== "Split") return config;
  const behavior = String(config["behavior"]).toLowerCase();
  if (behavior === "isolated" || behavior === "removed") return config;
  const pattern = isRecord(config["pattern"]) ? config["pattern"]["String"] : undefined;
  if (typeof pattern === "string" && isReplaced(pattern, normalizer)) return null;
  throw unsupported(`a Split pre-tokenizer with ${JSON.stringify(config["behavior"])}`);
}

/** Does this normalizer leave no such characters in any text? */
function isReplaced(characters: string, normalizer: unknown): boolean {
  if (!isRecord(normalizer)) return false;
  if (normalizer["type"] === "Sequence") {
    const parts = normalizer["normalizers"];
    return Array.isArray(parts) && parts.some((part) => isReplaced(characters, part));
  }
  const pattern = isRecord(normalizer["pattern"]) ? normalizer["pattern"]["String"] : undefined;
  const content = String(normalizer["content"]);
  return (
    normalizer["type"] === "Replace" && pattern === characters && !content.includes(characters)
  );
}

/** An entry of added_tokens, or of tokenizer_config.json's added_tokens_decoder. */
export function addedToken(entry: Json, names: ReadonlySet<string>): AddedToken {
  const { id, content } = entry;
  if (typeof content !== "string" || !isId(id)) {
    throw new InputError("tokenizer.json: an added token has no content or no id", {
      hint: FETCH_HINT,
    });
  }
  const special = entry["special"] === true;
  return {
    ...{ id, content, control: special || names.has(content) },
    singleWord: entry["single_word"] === true,
    stripLeft: entry["lstrip"] === true,
    stripRight: entry["rstrip"] === true,
    normalized: typeof entry["normalized"] === "boolean" ? entry["normalized"] : !special,
  };
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < ID_COUNT_MAX;
}

function unsupported(what: string): InputError {
  return new InputError(`tokenizer.json: ${what} is not supported`, { hint: HINT });
}

function record(value: unknown, name: string): Json {
  if (isRecord(value)) return value;
  throw new InputError(`tokenizer.json: ${name} is missing or no object`, { hint: FETCH_HINT });
}

function list(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new InputError(`tokenizer.json: ${name} is missing or no list`, { hint: FETCH_HINT });
}
