// Text to bytes and back; streams; the shape of tokenizer.json (the real library: test/interop).
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BYTE_VOCAB_SIZE, decodeTokens, encodeText, TokenStream } from "./bytes.ts";
import { tokenizerConfigJson, tokenizerJson } from "./hugging-face.ts";

test("any well-formed text comes back unchanged", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const tokens = encodeText(text);
      assert.deepEqual([...tokens], [...Buffer.from(text, "utf8")]);
      assert.equal(decodeTokens(tokens), text);
    }),
  );
  assert.equal(decodeTokens(encodeText("\ufeffmark")), "\ufeffmark");
});

test("a stream says the same as decoding at once, however the tokens are cut", () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 6 }), { maxLength: 12 });
  const text = fc.string({ unit: "grapheme" }).map((text) => [...encodeText(text)]);
  const valid = text.map((tokens) => tokens.map((token) => Uint8Array.of(token)));
  fc.assert(
    fc.property(fc.oneof(pieces, valid), (cuts) => {
      const stream = new TokenStream();
      const parts = cuts.map((cut) => stream.push(cut)).join("") + stream.end();
      assert.equal(parts, decodeTokens(cuts.flatMap((cut) => [...cut])));
    }),
  );
});

test("an unfinished character waits, and becomes U+FFFD at the end", () => {
  const stream = new TokenStream();
  const smile = [...encodeText("🙂")];
  assert.equal(stream.push(smile.slice(0, 3)), "");
  assert.equal(stream.push(smile.slice(3)), "🙂");
  assert.equal(stream.push(smile.slice(0, 2)), "");
  assert.equal(stream.end(), "\ufffd");
});

test("tokenizer.json maps 256 different characters to the ids 0 to 255, with no merges", () => {
  const { model, pre_tokenizer, decoder, normalizer } = JSON.parse(tokenizerJson());
  const ids = Object.values(model.vocab) as number[];
  assert.deepEqual(
    ids.toSorted((a, b) => a - b),
    Array.from({ length: BYTE_VOCAB_SIZE }, (_, byte) => byte),
  );
  assert.equal(model.vocab["A"], 65);
  assert.equal(model.vocab["Ġ"], 32, "a space stands as Ġ");
  assert.equal(model.vocab["Ċ"], 10, "a line's end stands as Ċ");
  assert.deepEqual(model.merges, []);
  assert.equal(normalizer, null);
  assert.deepEqual([pre_tokenizer.add_prefix_space, pre_tokenizer.use_regex], [false, false]);
  assert.equal(decoder.type, "ByteLevel");
  assert.equal(JSON.parse(tokenizerConfigJson(64)).model_max_length, 64);
});
