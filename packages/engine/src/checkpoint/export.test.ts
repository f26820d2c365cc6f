// Exports on a real disk: what is written is read back; what is wrong is refused by its code.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { type LlamaConfig, parameterCount, parameterSpecs } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { EXPORT_FILE_NAMES, exportFiles } from "./export.ts";
import { parseConfigJson } from "./hf-config.ts";
import { configJson } from "./hf-config-json.ts";
import { type ImportCode, importModel } from "./import.ts";
import { type ModelCard, modelCardText } from "./model-card.ts";
import { ExportError, readExportFolder, writeExportFolder } from "./node-folder.ts";
import { readSafetensors, type TensorData, writeSafetensors } from "./safetensors.ts";

const CONFIG: LlamaConfig = {
  vocabSize: 256,
  hiddenSize: 8,
  intermediateSize: 12,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  maxPositionEmbeddings: 16,
  rmsNormEps: 1e-6,
  ropeTheta: 500,
  tieWordEmbeddings: false,
};
const CARD: ModelCard = {
  name: "shakespeare",
  runId: "ab".repeat(32),
  license: "cc0-1.0",
  dataset: [{ name: "input.txt", byteLength: 1_115_394, root: "cd".repeat(32) }],
  validationBps: 1_000,
  recipe: { optimizer: "muon", "learning rate": 0.02 },
  tokens: 4_500_000,
  rounds: 110,
  valLoss: 1.5432,
  contributors: 4,
};

const root = mkdtempSync(join(tmpdir(), "manyhands-export-"));
after(() => rmSync(root, { recursive: true }));

for (const tieWordEmbeddings of [false, true]) {
  test(`an export is read back bit for bit (tied: ${tieWordEmbeddings})`, async () => {
    const config = { ...CONFIG, tieWordEmbeddings };
    const weights = initialWeights(config, 3);
    const folder = join(root, `model-${tieWordEmbeddings}`);
    await writeExportFolder(folder, exportFiles({ config, weights, card: CARD }));
    assert.deepEqual(new Set(readdirSync(folder)), new Set(EXPORT_FILE_NAMES));
    assert.deepEqual(await readExportFolder(folder), { config, weights });
    const file = readSafetensors(readFileSync(join(folder, "model.safetensors")));
    assert.ok(file.ok);
    const names = file.value.tensors.map((tensor) => tensor.name);
    assert.deepEqual(
      names,
      parameterSpecs(config).map((spec) => spec.name),
    );
    assert.equal(names.includes("lm_head.weight"), !tieWordEmbeddings);
  });
}

test("a second export replaces the first and leaves nothing beside it", async () => {
  const folder = join(root, "again", "export");
  for (const seed of [1, 2]) {
    const weights = initialWeights(CONFIG, seed);
    await writeExportFolder(folder, exportFiles({ config: CONFIG, weights, card: CARD }));
    assert.deepEqual((await readExportFolder(folder)).weights, weights);
  }
  assert.deepEqual(readdirSync(join(root, "again")), ["export"]);
});

test("an empty folder is taken; a folder with anything else, or a file, is not", async () => {
  const files = exportFiles({ config: CONFIG, weights: initialWeights(CONFIG, 1), card: CARD });
  const [empty, full, plain] = ["empty", "full", "plain"].map((name) => join(root, name));
  mkdirSync(empty ?? "");
  await writeExportFolder(empty ?? "", files);
  mkdirSync(full ?? "");
  writeFileSync(join(full ?? "", "thesis.txt"), "years of work");
  writeFileSync(plain ?? "", "a file");
  for (const folder of [full, plain]) {
    await assert.rejects(writeExportFolder(folder ?? "", files), InputError);
  }
  assert.deepEqual(readdirSync(full ?? ""), ["thesis.txt"]);
});

test("when the disk refuses, the export that was there stays", async () => {
  const folder = join(root, "kept");
  const weights = initialWeights(CONFIG, 1);
  const files = exportFiles({ config: CONFIG, weights, card: CARD });
  await writeExportFolder(folder, files);
  const impossible = [...files, { name: "no/such/folder", bytes: new Uint8Array(1) }];
  await assert.rejects(writeExportFolder(folder, impossible), ExportError);
  assert.deepEqual((await readExportFolder(folder)).weights, weights);
  assert.ok(!readdirSync(root).some((name) => name.startsWith(".kept")), "no leftovers");
});

test("a folder that is no export is an InputError that names the file", async () => {
  await assert.rejects(readExportFolder(join(root, "nowhere")), (error) => {
    return error instanceof InputError && /config\.json/.test(error.message);
  });
});

function tensorsOf(config: LlamaConfig): TensorData[] {
  const read = readSafetensors(
    exportFiles({ config, weights: initialWeights(config, 1), card: CARD })[2]?.bytes ??
      new Uint8Array(),
  );
  assert.ok(read.ok);
  return [...read.value.tensors];
}

test("tensors that do not make the model are refused by their code", () => {
  const tensors = tensorsOf(CONFIG);
  const [first, ...others] = tensors;
  assert.ok(first);
  const transposed = { ...first, shape: first.shape.toReversed() };
  const broken = { ...first, values: first.values.map((value, i) => (i === 9 ? NaN : value)) };
  const cases: readonly [ImportCode, readonly TensorData[]][] = [
    ["import/missing", others],
    ["import/unknown", [...tensors, { ...first, name: "model.layers.2.mlp.up_proj.weight" }]],
    ["import/shape", [transposed, ...others]],
    ["import/not-finite", [broken, ...others]],
  ];
  for (const [code, changed] of cases) {
    const safetensors = writeSafetensors(changed);
    const imported = importModel({ configJson: configJson(CONFIG), safetensors });
    assert.equal(imported.ok ? "accepted" : imported.error.code, code);
  }
  const cut = writeSafetensors(tensors).subarray(0, 99);
  const imported = importModel({ configJson: configJson(CONFIG), safetensors: cut });
  assert.equal(imported.ok ? "accepted" : imported.error.code, "safetensors/truncated");
});

test("config.json keeps every field, and transformers 5's spelling of RoPE is read", () => {
  assert.deepEqual(parseConfigJson(configJson(CONFIG)), { ok: true, value: CONFIG });
  const { rope_theta, rope_scaling, ...fields } = JSON.parse(configJson(CONFIG));
  assert.deepEqual([rope_theta, rope_scaling], [500, null]);
  const rope_parameters = { rope_theta: 500, rope_type: "default" };
  const saved = JSON.stringify({ ...fields, rope_parameters, dtype: "float32" });
  assert.deepEqual(parseConfigJson(saved), { ok: true, value: CONFIG });
});

test("a config that this engine would compute differently is refused", () => {
  const fields = JSON.parse(configJson(CONFIG));
  const changes: readonly object[] = [
    { model_type: "mistral" },
    { attention_bias: 1 },
    { moe: true },
    { pretraining_tp: 2 },
    { hidden_act: "gelu" },
    { rope_scaling: { rope_type: "llama3", factor: 8 } },
    { rope_parameters: { rope_type: "yarn", rope_theta: 500 } },
    { head_dim: 7 },
    { num_key_value_heads: 3 },
    { num_hidden_layers: 1e9 },
    { quantization_config: { quant_method: "gptq" } },
    { rms_norm_eps: 0 },
    { vocab_size: "256" },
  ];
  for (const change of changes) {
    const parsed = parseConfigJson(JSON.stringify({ ...fields, ...change }));
    assert.match(parsed.ok ? "accepted" : parsed.error, /^config\.json: /, JSON.stringify(change));
  }
  for (const text of ["", "[]", "null", "{"]) assert.equal(parseConfigJson(text).ok, false, text);
});

test("the card states the run's numbers and no name breaks out of its place", () => {
  const text = modelCardText(CARD, CONFIG);
  const count = String(parameterCount(CONFIG)).replace(/\B(?=(\d{3})+$)/g, " ");
  for (const fact of [CARD.runId, "1.5432", "2.2264", "4 500 000", "110", "input.txt", count]) {
    assert.ok(text.includes(fact), fact);
  }
  assert.match(text, /^---\nlicense: "cc0-1.0"\nlibrary_name: transformers\n/);
  assert.match(text, /AutoModelForCausalLM\.from_pretrained/);
  const name = 'x"\n---\n# owned | <script> `a` [b](c)';
  const hostile = modelCardText({ ...CARD, name, license: null }, CONFIG);
  const [front = "", body = "", more] = hostile.split("\n---\n");
  assert.equal(more, undefined, "one front matter");
  assert.ok(front.includes(`model_name: ${JSON.stringify(name)}`) && !front.includes("license:"));
  assert.ok(!body.includes("<script>") && !/^# owned/m.test(body), body.slice(0, 200));
});
