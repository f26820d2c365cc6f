// A model's small files travel as one blob: what comes out is the model's own tokenizer, and what is
// something else is refused with a sentence.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { utf8 } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { tokenizerJson } from "./hugging-face.ts";
import { decodeSmallFiles, encodeSmallFiles, stopIdsOf, tokenizerOf } from "./small-files.ts";

const QWEN = new URL("../../../../vectors/engine/tokenizers/qwen.json", import.meta.url);
const OURS = { name: "org/model", revision: null };

test("files come back as they were, and the tokenizer among them reads and writes", () => {
  const { tokenizer } = JSON.parse(readFileSync(QWEN, "utf8"));
  const files = {
    "tokenizer.json": JSON.stringify(tokenizer),
    "chat_template.jinja": "{{ messages[0].content }}!",
  };
  const small = decodeSmallFiles(encodeSmallFiles({ ...OURS, files }));
  assert.deepEqual(small, { ...OURS, files });
  const found = tokenizerOf(small, 1_000);
  assert.equal(found.kind, "model");
  assert.equal(found.decode(found.encode("hello, wörld 🌍")), "hello, wörld 🌍");
  assert.equal(found.chat?.render({ messages: [{ role: "user", content: "x" }] }), "x!");
  assert.throws(() => tokenizerOf(small, 300), /tokens, the model only 300/);
});

test("without a tokenizer.json, or with ours, 256 tokens are bytes", () => {
  assert.equal(tokenizerOf({ ...OURS, files: {} }, 256).kind, "bytes");
  const files = { "tokenizer.json": tokenizerJson() };
  assert.equal(tokenizerOf({ ...OURS, files }, 256).kind, "bytes");
  assert.throws(() => tokenizerOf({ ...OURS, files: {} }, 300), /there is no tokenizer.json/);
});

test("stop tokens are the tokenizer's own and those of both configs, once each", () => {
  const files = {
    "config.json": '{"eos_token_id":7}',
    "generation_config.json": '{"eos_token_id":[7,9,-1,"x"]}',
  };
  assert.deepEqual(stopIdsOf(files, { eosId: 5 }), [5, 7, 9]);
  assert.deepEqual(stopIdsOf({}, { eosId: undefined }), []);
  assert.throws(() => stopIdsOf({ "config.json": "{" }, { eosId: 5 }), InputError);
});

test("what is no such blob is refused with what is wrong with it", () => {
  const wrong: readonly (readonly [Uint8Array, RegExp])[] = [
    [utf8("no JSON"), /it is no list of files/],
    [Uint8Array.of(0xff), /it is no list of files/],
    [utf8("[]"), /it is no list of files/],
    [utf8('{"name":"m","revision":null,"files":[]}'), /it is no list of files/],
    [utf8('{"name":7,"revision":null,"files":{}}'), /its name is not sound/],
    [utf8('{"name":"m","revision":null,"files":{"../x":"y"}}'), /no business with "..\/x"/],
    [utf8('{"name":"m","revision":null,"files":{"config.json":7}}'), /no business with "config/],
  ];
  for (const [bytes, expected] of wrong) {
    assert.throws(
      () => decodeSmallFiles(bytes),
      (error) => {
        return error instanceof InputError && expected.test(error.message);
      },
    );
  }
});
