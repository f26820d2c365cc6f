// Tokenizers as llama.cpp's metadata: kinds, scores, special tokens; and what is refused.
// (What the real llama.cpp makes of them: test/interop/out.)
import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenizerJson } from "../tokenizer/hugging-face.ts";
import { fieldsOf, type Json } from "./json.ts";
import { vocabularyMetadata } from "./vocabulary.ts";

const WORD = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, use_regex: true };

function tokenizer(changes: Json = {}, model: Json = {}): Json {
  return {
    normalizer: null,
    pre_tokenizer: BYTE_LEVEL,
    post_processor: null,
    added_tokens: [{ id: 4, content: "<|end|>", special: true }],
    model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2, c: 3 }, merges: [["a", "b"]], ...model },
    ...changes,
  };
}

function read(found: Json, more: { config?: Json; tokenizerConfig?: Json } = {}, size = 6) {
  const files = { config: {}, tokenizerConfig: {}, ...more };
  const metadata = vocabularyMetadata(
    { ...files, tokenizer: found, chatTemplate: undefined },
    size,
  );
  if (!metadata.ok) return metadata.error;
  return Object.fromEntries(metadata.value.map(([key, { value }]) => [key.slice(15), value]));
}

test("byte-level BPE: tokens, types, merges, and a name for embeddings without a token", () => {
  const found = read(tokenizer(), { tokenizerConfig: { eos_token: "<|end|>" } });
  assert.deepEqual(found, {
    model: "gpt2",
    pre: "gpt-2",
    tokens: ["a", "b", "ab", "c", "<|end|>", "[PAD5]"],
    token_type: [1, 1, 1, 1, 3, 5],
    merges: ["a b"],
    add_space_prefix: false,
    bos_token_id: 4,
    eos_token_id: 4,
    add_bos_token: false,
    add_eos_token: false,
  });
});

test("a rule for words has llama.cpp's name, or the tokenizer is refused", () => {
  const split = (pattern: string, ignore_merges = false): unknown => {
    const step = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated" };
    const whole = { ...BYTE_LEVEL, use_regex: false };
    const pre_tokenizer = { type: "Sequence", pretokenizers: [step, whole] };
    return fieldsOf(read(tokenizer({ pre_tokenizer }, { ignore_merges })))["pre"];
  };
  assert.equal(split(`${WORD}|\\p{N}{1,3}|${REST}`, true), "llama-bpe");
  assert.equal(split(`${WORD}|\\p{N}{1,3}|${REST}`), "smaug-bpe");
  assert.equal(split(`${WORD}|\\p{N}|${REST}`), "qwen2");
  assert.equal(split(`${WORD}|\\p{N}+|${REST}`), undefined);
  const digits = { type: "Digits", individual_digits: true };
  const smollm = { type: "Sequence", pretokenizers: [digits, BYTE_LEVEL] };
  assert.equal(fieldsOf(read(tokenizer({ pre_tokenizer: smollm })))["pre"], "smollm");
  const refused: readonly [RegExp, Json][] = [
    [/pre_tokenizer/, tokenizer({ pre_tokenizer: { ...BYTE_LEVEL, use_regex: false } })],
    [/pre_tokenizer/, tokenizer({ pre_tokenizer: { ...BYTE_LEVEL, add_prefix_space: true } })],
    [/pre_tokenizer/, tokenizer({ pre_tokenizer: { type: "Whitespace" } })],
    [/normalizer/, tokenizer({ normalizer: { type: "Lowercase" } })],
    [/BPE/, tokenizer({}, { type: "Unigram" })],
    [/no merge/, tokenizer({}, { merges: ["a b c"] })],
    [/merges/, tokenizer({}, { merges: 7 })],
    [/no id/, tokenizer({}, { vocab: { a: -1 } })],
    [/6 embeddings/, tokenizer({}, { vocab: { a: 6 } })],
    [/two tokens/, tokenizer({ added_tokens: [{ id: 5, content: "a", special: true }] })],
    [/added token/, tokenizer({ added_tokens: [{ id: 5 }] })],
    [/BPE/, {}],
  ];
  for (const [reason, found] of refused) {
    const error = read(found);
    assert.match(typeof error === "string" ? error : "accepted", reason);
  }
});

test("NFC is let through, and our own bytes need no rule for words", () => {
  const nfc = read(tokenizer({ normalizer: { type: "NFC" } }));
  assert.equal(fieldsOf(nfc)["pre"], "gpt-2");
  const bytes = fieldsOf(read(fieldsOf(JSON.parse(tokenizerJson())), {}, 256));
  assert.deepEqual([bytes["pre"], bytes["merges"], bytes["eos_token_id"]], ["gpt-2", [], 0]);
});

test("SentencePiece's way: bytes, scores in the order of merges, a space before the text", () => {
  const vocab = { "<unk>": 0, "<0x41>": 1, "▁": 2, a: 3, "▁a": 4 };
  const space = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const model = { vocab, merges: [["▁", "a"]], byte_fallback: true, unk_token: "<unk>" };
  const added_tokens = [{ id: 5, content: "▁▁", special: false }];
  const base = { pre_tokenizer: null, added_tokens };
  const prefixed = { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, space] };
  const llama = fieldsOf(read(tokenizer({ ...base, normalizer: prefixed }, model)));
  assert.deepEqual(llama["tokens"], ["<unk>", "<0x41>", "▁", "a", "▁a", "  "]);
  assert.deepEqual(llama["token_type"], [2, 6, 1, 1, 1, 4]);
  assert.deepEqual(llama["scores"], [-1e9, -1e9, -1e9, -1e9, -0, -1e9]);
  assert.deepEqual([llama["model"], llama["add_space_prefix"]], ["llama", true]);
  const gemma = fieldsOf(read(tokenizer({ ...base, normalizer: space }, model)));
  assert.equal(gemma["add_space_prefix"], false);
  const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false };
  const newer = tokenizer({ added_tokens, pre_tokenizer: metaspace }, model);
  assert.equal(fieldsOf(read(newer))["add_space_prefix"], true);
});

test("special tokens: from the tokenizer's config, the model's, and the template around texts", () => {
  const pieces = [{ SpecialToken: { id: "<|end|>", type_id: 0 } }, { Sequence: { id: "A" } }];
  const post_processor = { type: "TemplateProcessing", single: pieces };
  const sequence = { type: "Sequence", processors: [{ type: "ByteLevel" }, post_processor] };
  const tokenizerConfig = { bos_token: { content: "<|end|>" }, eos_token: "c", pad_token: "b" };
  const found = fieldsOf(read(tokenizer({ post_processor: sequence }), { tokenizerConfig }));
  assert.deepEqual(
    ["bos_token_id", "eos_token_id", "padding_token_id", "add_bos_token"].map((key) => found[key]),
    [4, 3, 1, true],
  );
  const config = { bos_token_id: 1, eos_token_id: [2, 3], pad_token_id: 99 };
  const other = fieldsOf(read(tokenizer(), { config, tokenizerConfig: { add_bos_token: true } }));
  assert.deepEqual(
    ["bos_token_id", "eos_token_id", "padding_token_id", "add_bos_token"].map((key) => other[key]),
    [1, 2, undefined, true],
  );
});
