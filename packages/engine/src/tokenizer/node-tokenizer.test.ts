// A folder's tokenizer: its own file, bytes where the project made the model, or a refusal.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { tokenizerJson } from "./hugging-face.ts";
import { readTokenizer } from "./node-tokenizer.ts";

test("the file of ours is bytes, without any file 256 rows are bytes, others are refused", async () => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-tokenizer-"));
  try {
    assert.equal((await readTokenizer(folder, 256)).kind, "bytes");
    await assert.rejects(readTokenizer(folder, 300), /no tokenizer.json/);
    writeFileSync(join(folder, "tokenizer.model"), "");
    await assert.rejects(readTokenizer(folder, 300), (error) => {
      return error instanceof InputError && /save_pretrained/.test(error.hint ?? "");
    });
    writeFileSync(join(folder, "tokenizer.json"), tokenizerJson());
    assert.equal((await readTokenizer(folder, 256)).kind, "bytes");
    const url = new URL("../../../../vectors/engine/tokenizers/qwen.json", import.meta.url);
    const { tokenizer } = JSON.parse(readFileSync(url, "utf8"));
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    const found = await readTokenizer(folder, 1_000, "{{ messages[0].content }}");
    assert.equal(found.kind, "model");
    assert.equal(found.chat?.render({ messages: [{ role: "user", content: "x" }] }), "x");
    await assert.rejects(readTokenizer(folder, 300), /belongs to another model|tokens, the model/);
    truncateSync(join(folder, "tokenizer.json"), 400_000_001); // sparse: no disk is filled
    await assert.rejects(readTokenizer(folder, 300), /400000001 bytes; no tokenizer is as large/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
