// Adapter folders: written and read back, other tools' habits, and each hostile file refused by its
// code, its file and its tensor. (The real peft: test/interop/out.)
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { type AdapterConfig, adapterPlaces } from "../adapters/config.ts";
import { encodeFloats, type FloatType } from "../checkpoint/encode-values.ts";
import { ModelFileError } from "../checkpoint/model-files.ts";
import { safetensorsHead, writeSafetensors } from "../checkpoint/safetensors.ts";
import type { ModelConfig } from "../model/config.ts";
import { TINY_GPT2, TINY_LLAMA, writeTinyModel } from "../testing/tiny-model.ts";
import { adapterConfigJson, parseAdapterConfig } from "./adapter-config.ts";
import { readAdapterFolder, type SavedAdapter, writeAdapterFolder } from "./adapter-folder.ts";

const root = mkdtempSync(join(tmpdir(), "manyhands-adapter-"));
after(() => rmSync(root, { recursive: true, force: true }));

const LORA: AdapterConfig = { r: 2, loraAlpha: 3, targetModules: ["q_proj", "v_proj"] };

function savedFor(model: ModelConfig, adapter: AdapterConfig): SavedAdapter {
  const last = adapterPlaces(model, adapter).at(-1);
  const size = last ? last.offset + last.size : 0;
  const weights = Float32Array.from({ length: size }, (_, i) => ((i % 31) - 15) / 8);
  return { adapter, weights, baseModel: "org/base", revision: "abc" };
}

let count = 0;
function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  count += 1;
  const folder = join(root, String(count));
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

type Tensor = { name: string; shape: readonly number[]; values: Float32Array };

function tensorsOf(model: ModelConfig, { adapter, weights }: SavedAdapter): Tensor[] {
  return adapterPlaces(model, adapter).map(({ name, shape, offset, size }) => {
    return { name, shape, values: weights.subarray(offset, offset + size) };
  });
}

for (const [model, adapter] of [
  [TINY_LLAMA, LORA],
  [TINY_LLAMA, { ...LORA, useDora: true, useRslora: true, loraDropout: 0.25 }],
  [TINY_GPT2, { ...LORA, targetModules: ["c_attn", "mlp.c_proj"] }],
] as const) {
  const what = `${model.modelType ?? "llama"}, ${Object.keys(adapter).length} settings`;
  test(`an adapter is read back bit for bit (${what})`, async () => {
    const saved = savedFor(model, adapter);
    const folder = join(root, `round-${what}`);
    const base = join(root, `base-${what}`);
    writeTinyModel(base, model);
    await writeAdapterFolder(folder, { model, saved, card: "# mine\n", tokenizerFrom: base });
    assert.deepEqual(await readAdapterFolder(folder, model), saved);
    const names = ["README.md", "adapter_config.json", "adapter_model.safetensors"];
    assert.deepEqual(new Set(readdirSync(folder)), new Set([...names, "tokenizer.json"]));
    const config = JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"));
    assert.equal(config.fan_in_fan_out, model === TINY_GPT2);
  });
}

test("all-linear is written as the list that it means for this model", () => {
  const saved = { ...savedFor(TINY_GPT2, LORA_ALL), adapter: LORA_ALL };
  const { target_modules } = JSON.parse(adapterConfigJson(saved, TINY_GPT2));
  assert.deepEqual(target_modules, ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]);
});
const LORA_ALL: AdapterConfig = { r: 2, loraAlpha: 3, targetModules: "all-linear" };

test("half and brain floats are read", async () => {
  const saved = savedFor(TINY_LLAMA, LORA);
  for (const dtype of ["F16", "BF16"] as const satisfies readonly FloatType[]) {
    const tensors = tensorsOf(TINY_LLAMA, saved);
    const head = safetensorsHead(tensors.map(({ name, shape }) => ({ name, shape, dtype })));
    const bytes = tensors.map(({ values }) => encodeFloats(values, dtype));
    const folder = folderOf({
      "adapter_config.json": adapterConfigJson(saved, TINY_LLAMA),
      "adapter_model.safetensors": Buffer.concat([head, ...bytes]),
    });
    assert.deepEqual((await readAdapterFolder(folder, TINY_LLAMA)).weights, saved.weights);
  }
});

test("a hostile file is refused with its code, its file and its tensor", async () => {
  const saved = savedFor(TINY_LLAMA, LORA);
  const config = adapterConfigJson(saved, TINY_LLAMA);
  const tensors = tensorsOf(TINY_LLAMA, saved);
  const [first, second, ...others] = tensors;
  assert.ok(first && second);
  const good = writeSafetensors(tensors);
  const nan = { ...first, values: first.values.map((x, i) => (i === 3 ? Number.NaN : x)) };
  const flipped = { ...first, shape: first.shape.toReversed() };
  const named = { ...first, name: "base_model.model.lm_head.lora_A.weight" };
  const huge = good.slice();
  new DataView(huge.buffer).setBigUint64(0, 1n << 62n, true);
  const lines = tensors.map(({ name, shape }) => ({ name, shape, dtype: "U8" as const }));
  const bytes = Buffer.concat([safetensorsHead(lines), Buffer.alloc(saved.weights.length)]);
  const cases: readonly [string, string | undefined, Uint8Array][] = [
    ["safetensors/truncated", undefined, good.subarray(0, good.length - 5)],
    ["safetensors/header-length", undefined, huge],
    ["safetensors/overlap", undefined, overlapping(first, second)],
    ["import/shape", first.name, writeSafetensors([flipped, second, ...others])],
    ["import/not-finite", first.name, writeSafetensors([nan, second, ...others])],
    ["import/missing", second.name, writeSafetensors([first, ...others])],
    ["import/unknown", named.name, writeSafetensors([...tensors, named])],
    ["import/dtype", first.name, bytes],
    ["import/pickle", undefined, Uint8Array.of(0x80, 2, 0x7d, 0, 0, 0, 0, 0, 0, 0x2e)],
    ["import/pickle", undefined, Buffer.from("PK\u0003\u0004 an archive of PyTorch")],
  ];
  for (const [code, tensor, file] of cases) {
    const folder = folderOf({ "adapter_config.json": config, "adapter_model.safetensors": file });
    await refused(folder, code, (error) => {
      assert.equal(error.tensor, tensor, code);
      assert.match(error.message, /adapter_model\.safetensors/);
    });
  }
});

function overlapping(first: Tensor, second: Tensor): Uint8Array {
  const line = ({ name, shape, values }: Tensor): string =>
    `"${name}":{"dtype":"F32","shape":[${shape}],"data_offsets":[0,${values.byteLength}]}`;
  const header = `{${line(first)},${line(second)}}`;
  const text = header.padEnd(Math.ceil(header.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, Buffer.from(text), Buffer.from(first.values.buffer)]);
}

async function refused(
  folder: string,
  code: string,
  check: (error: ModelFileError) => void = () => undefined,
): Promise<void> {
  await assert.rejects(readAdapterFolder(folder, TINY_LLAMA), (error) => {
    assert.ok(error instanceof ModelFileError, String(error));
    assert.equal(error.code, code, error.message);
    check(error);
    return true;
  });
}

test("a folder without safetensors is refused; a pickle is named and never read", async () => {
  const config = adapterConfigJson(savedFor(TINY_LLAMA, LORA), TINY_LLAMA);
  await refused(join(root, "nowhere"), "import/no-file");
  await refused(folderOf({ "adapter_config.json": config }), "import/no-file");
  const pickle = folderOf({ "adapter_config.json": config, "adapter_model.bin": "cos\nsystem" });
  await refused(pickle, "import/pickle", ({ file }) => assert.match(file, /adapter_model\.bin$/));
});

test("what PEFT can do and this engine cannot is refused by its name", async () => {
  const saved = savedFor(TINY_LLAMA, LORA);
  const fields = JSON.parse(adapterConfigJson(saved, TINY_LLAMA));
  const changes: readonly [RegExp, object][] = [
    [/rank_pattern/, { rank_pattern: { q_proj: 8 } }],
    [/modules_to_save/, { modules_to_save: ["lm_head"] }],
    [/layers_to_transform/, { layers_to_transform: [0] }],
    [/use_qalora/, { use_qalora: true }],
    [/bias/, { bias: "all" }],
    [/peft_type/, { peft_type: "LOHA" }],
    [/task_type/, { task_type: "SEQ_CLS" }],
    [/target_modules/, { target_modules: ".*q_proj" }],
    [/no block has a matrix lm_head/, { target_modules: ["lm_head"] }],
    [/\br\b/, { r: 0 }],
    [/loraAlpha/, { lora_alpha: 0 }],
    [/loraDropout/, { lora_dropout: 1 }],
  ];
  for (const [reason, change] of changes) {
    const parsed = parseAdapterConfig(JSON.stringify({ ...fields, ...change }), TINY_LLAMA);
    assert.match(parsed.ok ? "accepted" : parsed.error, reason, JSON.stringify(change));
  }
  for (const text of ["", "[]", "null", "7", "{"]) {
    assert.equal(parseAdapterConfig(text, TINY_LLAMA).ok, false, text);
  }
  await refused(folderOf({ "adapter_config.json": "{" }), "import/config");
  await refused(folderOf({ "adapter_config.json": " ".repeat(4 << 20) }), "import/config");
  await refused(folderOf({ "adapter_config.json": " ".repeat((4 << 20) + 1) }), "import/too-long");
});

test("a folder with anything else in it is left alone", async () => {
  const folder = folderOf({ "thesis.txt": "years of work" });
  const source = { model: TINY_LLAMA, saved: savedFor(TINY_LLAMA, LORA) };
  await assert.rejects(writeAdapterFolder(folder, source), InputError);
  assert.deepEqual(readdirSync(folder), ["thesis.txt"]);
});
