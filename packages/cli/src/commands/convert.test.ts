// `manyhands merge` and `manyhands gguf`: what they write and say, and each mistake in a sentence.
// (What other tools make of it: test/interop/out.)
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type AdapterConfig, adapterCount } from "@manyhands/engine/adapters/config";
import { importModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { writeAdapterFolder } from "@manyhands/engine/peft/adapter-folder";
import { readGguf } from "@manyhands/engine/testing/read-gguf";
import { TINY_LLAMA, writeTinyModel } from "@manyhands/engine/testing/tiny-model";
import { runCommand } from "../main.ts";
import { PLAIN } from "../terminal/style.ts";

let root: string;
const at = (name: string): string => join(root, name);
before(async () => {
  root = mkdtempSync(join(tmpdir(), "manyhands-convert-cli-"));
  writeTinyModel(at("base"), TINY_LLAMA);
  writeFileSync(join(at("base"), "README.md"), "---\nlicense: apache-2.0\n---\n# Base\n");
  const adapter: AdapterConfig = { r: 2, loraAlpha: 4, targetModules: ["q_proj"] };
  const weights = new Float32Array(adapterCount(TINY_LLAMA, adapter)).fill(0.1);
  const saved = { adapter, weights, baseModel: "base", revision: null };
  await writeAdapterFolder(at("adapter"), { model: TINY_LLAMA, saved, card: "# My adapter\n" });
});
after(() => rmSync(root, { recursive: true, force: true }));

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function run(...words: readonly string[]): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const code = await runCommand(words, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { isTTY: true, write: (text) => (stderr += text) },
    environment: { HF_HOME: root, HOME: root },
    paint: PLAIN,
    errorPaint: PLAIN,
  });
  return { code, stdout, stderr };
}

test("merge writes a model that is base and adapter, with both cards' facts", async () => {
  const words = ["merge", at("base"), "--adapter", at("adapter"), "--out", at("merged")];
  const { code, stdout, stderr } = await run(...words);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Wrote .*merged: \d.* of weights in f32, one file\.\n$/);
  assert.match(stderr, /writing 100 %/);
  const [before, merged] = await Promise.all([
    importModelFolder(at("base")),
    importModelFolder(at("merged")),
  ]);
  const moved = merged.weights.filter((x, i) => x !== before.weights[i]).length;
  const perMatrix = TINY_LLAMA.hiddenSize ** 2;
  assert.equal(moved, 2 * perMatrix, "the two q matrices, and nothing else");
  const card = readFileSync(join(at("merged"), "README.md"), "utf8");
  assert.match(card, /license: "apache-2\.0"/);
  assert.match(card, /## My adapter/);
});

test("gguf writes a file, with an adapter too, and tells about it as JSON", async () => {
  const out = at("model.gguf");
  const plain = await run("gguf", at("base"), "--out", out, "--json");
  assert.equal(plain.code, 0, plain.stderr);
  const facts = JSON.parse(plain.stdout);
  assert.deepEqual([facts.type, facts.tensors, facts.unblocked.length], ["q8_0", 21, 2]);
  assert.equal(facts.bytes, readFileSync(out).length);
  const adapted = await run(
    ...["gguf", at("base"), "--adapter", at("adapter"), "--type", "f32", "--out", out],
  );
  assert.equal(adapted.code, 0, adapted.stderr);
  const merged = await importModelFolder(at("merged"));
  const { tensors } = readGguf(readFileSync(out));
  const embedding = tensors.find(({ name }) => name === "token_embd.weight");
  assert.equal(embedding?.type, "F32");
  assert.equal(merged.weights[0], Buffer.from(embedding?.bytes ?? []).readFloatLE(0));
});

test("a mistake is one sentence with a hint, exit code 2, and nothing written", async () => {
  writeFileSync(at("notes.txt"), "mine");
  const base = at("base");
  const adapter = ["--adapter", at("adapter")];
  const cases: readonly [RegExp, readonly string[]][] = [
    [/required option '--out/, ["gguf", base]],
    [/required option '--adapter/, ["merge", base, "--out", at("x")]],
    [/Allowed choices are f32, f16, q8_0, q4_0/, ["gguf", base, "--out", at("x"), "--type", "q5"]],
    [/Allowed choices are f32, f16, bf16/, ["merge", base, "--out", at("x"), "--dtype", "int8"]],
    [/config\.json: cannot be read/, ["gguf", at("nowhere"), "--out", at("x")]],
    [/adapter_config\.json: cannot be read/, ["gguf", base, "--adapter", base, "--out", at("x")]],
    [/notes\.txt is there already/, ["gguf", base, "--out", at("notes.txt")]],
    [/no folder that can hold/, ["merge", base, ...adapter, "--out", at("notes.txt")]],
    [/holds adapter, which is no part/, ["merge", base, ...adapter, "--out", root]],
  ];
  for (const [reason, words] of cases) {
    const { code, stderr } = await run(...words);
    assert.equal(code, 2, `${words.join(" ")}: ${stderr}`);
    assert.match(stderr, reason);
  }
  assert.equal(readFileSync(at("notes.txt"), "utf8"), "mine");
  assert.ok(!existsSync(at("x")));
});
