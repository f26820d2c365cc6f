// A tokenizer.json as llama.cpp's metadata: tokens, their types, merges or scores, the name of the
// rule that cuts text into words, special tokens. A tokenizer that llama.cpp would read differently
// is refused, never approximated. It deliberately tokenizes nothing.
// @source llama.cpp's src/llama-vocab.cpp; ggml's docs/gguf.md
import { describe } from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import type { GgufMetadata, GgufValue } from "./format.ts";
import { fieldsOf, type Json } from "./json.ts";
import { type Cut, cutOf } from "./pre-tokenizer.ts";
import { type SpecialTokens, specialTokens } from "./special-tokens.ts";

export type VocabularyFiles = {
  readonly tokenizer: Json;
  /** tokenizer_config.json and config.json; empty where there is none. */
  readonly tokenizerConfig: Json;
  readonly config: Json;
  readonly chatTemplate: string | undefined;
};

/** llama.cpp's types of tokens. */
const TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** A token that no merge makes is the last to be made. */
const NO_MERGE_SCORE = -1e9;

type Token = { readonly text: string; readonly type: number };
type Merge = readonly [left: string, right: string];

/** What llama.cpp must know of a tokenizer for a model with so many embeddings. */
export function vocabularyMetadata(
  files: VocabularyFiles,
  vocabSize: number,
): Result<GgufMetadata, string> {
  const { tokenizer } = files;
  const model = fieldsOf(tokenizer["model"]);
  if (model["type"] !== "BPE") {
    return err(`tokenizer.json: llama.cpp's files hold BPE here, not ${describe(model["type"])}`);
  }
  const merges = readMerges(model["merges"]);
  if (!merges.ok) return merges;
  const cut = cutOf(tokenizer, merges.value.length);
  if (!cut.ok) return cut;
  const tokens = readTokens(tokenizer, vocabSize, cut.value);
  if (!tokens.ok) return tokens;
  const ids = new Map(tokens.value.map(({ text }, id) => [text, id]));
  if (ids.size !== tokens.value.length) {
    return err(`tokenizer.json: ${repeated(tokens.value)} is the text of two tokens`);
  }
  const special = specialTokens(files, ids);
  return ok([
    ["tokenizer.ggml.model", string(cut.value.kind === "bytes" ? "gpt2" : "llama")],
    ["tokenizer.ggml.pre", string(cut.value.kind === "bytes" ? cut.value.name : "default")],
    ["tokenizer.ggml.tokens", strings(tokens.value.map(({ text }) => text))],
    ["tokenizer.ggml.token_type", integers(tokens.value.map(({ type }) => type))],
    ...rankings(cut.value, merges.value, tokens.value),
    ...specialMetadata(special),
    ...chat(files.chatTemplate),
  ]);
}

const string = (value: string): GgufValue => ({ type: "string", value });
const strings = (value: readonly string[]): GgufValue => ({ type: "strings", value });
const integers = (value: readonly number[]): GgufValue => ({ type: "i32s", value });
const bool = (value: boolean): GgufValue => ({ type: "bool", value });

/** Merges as they are, or the order in which they make tokens as scores. */
function rankings(cut: Cut, merges: readonly Merge[], tokens: readonly Token[]): GgufMetadata {
  if (cut.kind === "bytes") {
    return [
      ["tokenizer.ggml.merges", strings(merges.map((pair) => pair.map(spaceless).join(" ")))],
      ["tokenizer.ggml.add_space_prefix", bool(false)],
    ];
  }
  const scores = new Map<string, number>();
  for (const [rank, pair] of merges.entries()) {
    const made = pair.join("");
    if (!scores.has(made)) scores.set(made, -rank);
  }
  const value = tokens.map(({ text }) => scores.get(text) ?? NO_MERGE_SCORE);
  return [
    ["tokenizer.ggml.scores", { type: "f32s", value }],
    ["tokenizer.ggml.add_space_prefix", bool(cut.prefix)],
  ];
}

/** A space separates the two halves of a merge, so it cannot be in one. */
function spaceless(half: string): string {
  return half.replaceAll(" ", "Ġ");
}

function specialMetadata({ ids, addBos, addEos }: SpecialTokens): GgufMetadata {
  const names = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" } as const;
  const entries = Object.entries(names).flatMap(([kind, name]) => {
    const id = ids[kind as keyof typeof names];
    return id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, u32(id)] as const];
  });
  return [
    ...entries,
    ["tokenizer.ggml.add_bos_token", bool(addBos)],
    ["tokenizer.ggml.add_eos_token", bool(addEos)],
  ];
}

const u32 = (value: number): GgufValue => ({ type: "u32", value });

function chat(template: string | undefined): GgufMetadata {
  return template === undefined ? [] : [["tokenizer.chat_template", string(template)]];
}

function readMerges(value: unknown): Result<readonly Merge[], string> {
  if (!Array.isArray(value)) return err("tokenizer.json: model.merges is no list");
  const merges: Merge[] = [];
  for (const each of value) {
    const halves: unknown = typeof each === "string" ? each.split(" ") : each;
    if (!isPair(halves)) return err(`tokenizer.json: ${describe(each)} is no merge of two tokens`);
    merges.push(halves);
  }
  return ok(merges);
}

function isPair(value: unknown): value is Merge {
  return Array.isArray(value) && value.length === 2 && value.every((x) => typeof x === "string");
}

/** One token per embedding; embeddings without one get a name that no text contains by chance. */
function readTokens(
  tokenizer: Json,
  vocabSize: number,
  cut: Cut,
): Result<readonly Token[], string> {
  const model = fieldsOf(tokenizer["model"]);
  const tokens: Token[] = Array.from({ length: vocabSize }, (_, id) => ({
    text: `[PAD${id}]`,
    type: TYPES.unused,
  }));
  for (const [text, id] of Object.entries(fieldsOf(model["vocab"]))) {
    if (!isId(id)) return err(`tokenizer.json: the token ${describe(text)} has no id`);
    if (id >= vocabSize) {
      const found = `the token ${describe(text)} has id ${id}`;
      return err(`tokenizer.json: ${found}; the model has ${vocabSize} embeddings`);
    }
    tokens[id] = { text, type: typeOf(text, cut, model["unk_token"]) };
  }
  for (const each of listOf(tokenizer["added_tokens"])) {
    const { id, content, special } = fieldsOf(each);
    if (!isId(id) || typeof content !== "string") {
      return err("tokenizer.json: an added token has an id and a content");
    }
    // What has no embedding cannot be in a model's text: Gemma's pictures, for example.
    if (id >= vocabSize) continue;
    const control = special === true || /^<\|.*\|>$/.test(content);
    const own = cut.kind === "spaces" && !control ? content.replaceAll("▁", " ") : content;
    const type = control ? TYPES.control : TYPES.userDefined;
    tokens[id] = { text: own, type: content === model["unk_token"] ? TYPES.unknown : type };
  }
  return ok(tokens);
}

function typeOf(text: string, cut: Cut, unknown: unknown): number {
  if (cut.kind === "bytes") return TYPES.normal;
  if (/^<0x[0-9A-F]{2}>$/.test(text)) return TYPES.byte;
  return text === unknown ? TYPES.unknown : TYPES.normal;
}

function repeated(tokens: readonly Token[]): string {
  const seen = new Set<string>();
  for (const { text } of tokens) {
    if (seen.has(text)) return describe(text);
    seen.add(text);
  }
  return "nothing";
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
