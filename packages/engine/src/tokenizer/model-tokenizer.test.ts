// Published kinds of tokenizers: as transformers reads them (vectors of test/interop), safe with a
// person's words, and refused by name where they would be read otherwise.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import fc from "fast-check";
import { checkTokenizer, type Expected } from "../testing/tokenizer-check.ts";
import { ModelTokenizer, type TokenizerFiles } from "./model-tokenizer.ts";

const VECTORS = new URL("../../../../vectors/engine/tokenizers/", import.meta.url);
type Json = { [name: string]: unknown };
type Vector = { tokenizer: Json; config: Json; chatTemplate: string; expected: Expected };

function vector(name: string): Vector {
  return JSON.parse(readFileSync(new URL(`${name}.json`, VECTORS), "utf8"));
}

function filesOf({ tokenizer, config, chatTemplate }: Vector): TokenizerFiles {
  return {
    tokenizer: JSON.stringify(tokenizer),
    config: JSON.stringify(config),
    chatTemplate,
  };
}

for (const file of readdirSync(VECTORS)) {
  test(`${file}: ids, texts and conversations are those of transformers`, () => {
    const found = vector(file.replace(".json", ""));
    assert.ok(found.expected.texts.length > 20 && found.expected.chats.length > 2);
    assert.deepEqual(checkTokenizer(filesOf(found), found.expected), []);
  });
}

const qwen = new ModelTokenizer(filesOf(vector("qwen")));
const llama2 = new ModelTokenizer(filesOf(vector("llama2")));
const CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>"];

test("whatever a person writes, no control token comes of it, and the text comes back", () => {
  const piece = fc.oneof(
    fc.constantFrom(...CONTROLS, "<|", "|>", " "),
    fc.string({ unit: "grapheme" }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const text = pieces.join("").normalize("NFC").toWellFormed();
      for (const tokenizer of [qwen, llama2]) {
        const ids = tokenizer.encode(text);
        const controls = new Set(CONTROLS.flatMap((each) => controlId(tokenizer, each)));
        assert.ok(!ids.some((id) => controls.has(id)), text);
        assert.equal(tokenizer.decode(ids), text);
      }
    }),
    { numRuns: 60 },
  );
});

function controlId(tokenizer: ModelTokenizer, content: string): number[] {
  const ids = tokenizer.encode(content, { author: "control" });
  return ids.length === 1 ? ids : [];
}

test("merges that lead to a control token do not make one of a person's words", () => {
  const found = vector("qwen");
  const model = found.tokenizer["model"] as { vocab: Json; merges: unknown[] };
  const added = found.tokenizer["added_tokens"] as Json[];
  const id = Object.keys(model.vocab).length + added.length;
  Object.assign(model.vocab, { "<X": id, "<X>": id + 1 });
  model.merges.push(["<", "X"], ["<X", ">"]);
  added.push({ id: id + 1, content: "<X>", special: true, normalized: false });
  const tokenizer = new ModelTokenizer(filesOf(found));
  assert.deepEqual(tokenizer.encode("<X>", { author: "control" }), [id + 1]);
  assert.equal(tokenizer.encode("<X>").includes(id + 1), false);
  assert.equal(tokenizer.decode(tokenizer.encode("<X>")), "<X>");
});

test("a place in a text is the first token with a character from there on", () => {
  for (const tokenizer of [qwen, llama2]) {
    const text = "<|im_start|>The question: the answer.";
    for (const author of ["text", "control"] as const) {
      const marks = Array.from({ length: text.length + 1 }, (_, i) => i);
      const { ids, at } = tokenizer.encodeMarked(text, marks, { author });
      assert.deepEqual(ids, tokenizer.encode(text, { author }));
      assert.deepEqual([at[0], at.at(-1)], [0, ids.length]);
      assert.ok(
        at.every((place, i) => i === 0 || place >= (at[i - 1] ?? 0)),
        at.join(),
      );
      const answer = at[text.indexOf(" answer")] ?? 0;
      assert.ok(tokenizer.decode(ids.slice(answer)).endsWith("answer."));
      assert.ok(!tokenizer.decode(ids.slice(0, answer)).includes(" answer"));
    }
  }
});

test("what would be read otherwise than transformers reads it is refused by name", () => {
  const cases: readonly [string, Json, RegExp][] = [
    ["model", { type: "Unigram", vocab: [] }, /type "Unigram" is not supported/],
    ["model", { type: "BPE", vocab: {}, merges: [], dropout: 0.1 }, /model.dropout/],
    ["model", { type: "BPE", vocab: { a: 1e300 }, merges: [] }, /an id in model.vocab/],
    ["model", { type: "BPE", vocab: {} }, /model.merges is missing/],
    ["pre_tokenizer", { type: "Metaspace", split: true }, /Metaspace .* cuts at spaces/],
    ["pre_tokenizer", { type: "Split", pattern: { String: "," }, behavior: "Contiguous" }, /Split/],
    ["pre_tokenizer", { type: "Magic" }, /cannot be used: .*Magic/],
    ["normalizer", { type: "Magic" }, /cannot be used: .*Magic/],
    ["decoder", { type: "CTC" }, /no decoder of type "CTC"/],
    ["post_processor", { type: "BertProcessing" }, /no post-processor of type "BertProcessing"/],
  ];
  for (const [part, value, sentence] of cases) {
    const found = vector("qwen");
    found.tokenizer[part] = value;
    const make = (): ModelTokenizer => new ModelTokenizer(filesOf(found));
    assert.throws(make, (error) => {
      assert.ok(error instanceof InputError && error.hint, `${part} ${String(error)}`);
      assert.match(error.message, sentence);
      return true;
    });
  }
  const found = vector("qwen");
  const added = found.tokenizer["added_tokens"] as Json[];
  added.push({ id: 2 ** 22 - 1, content: "<far>", special: true, normalized: false });
  assert.equal(new ModelTokenizer(filesOf(found)).vocabSize, 2 ** 22);
  Object.assign(added.at(-1) ?? {}, { id: 2 ** 22 });
  assert.throws(() => new ModelTokenizer(filesOf(found)), /an added token has no content or no id/);
  assert.throws(() => new ModelTokenizer({ tokenizer: "{" }), /tokenizer.json is no JSON/);
});
