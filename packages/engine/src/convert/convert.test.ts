// Conversions on a real disk: merged models and GGUF files, whole or not at all; what cannot become
// one is refused with a reason. (The real transformers and llama.cpp: test/interop/out.)
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { type AdapterConfig, adapterPlaces } from "../adapters/config.ts";
import { importModelFolder, ModelFolder } from "../checkpoint/model-folder.ts";
import { ExportError } from "../checkpoint/node-folder.ts";
import { decodeBlocks } from "../gguf/blocks.ts";
import {
  type LlamaConfig,
  type ModelConfig,
  parameterPlaces,
  type RopeScaling,
} from "../model/config.ts";
import type { SavedAdapter } from "../peft/adapter-folder.ts";
import { flatSource } from "../quantize/base-model.ts";
import { readGguf } from "../testing/read-gguf.ts";
import { TINY_GPT2, TINY_LLAMA, writeTinyModel } from "../testing/tiny-model.ts";
import { tokenizerJson } from "../tokenizer/hugging-face.ts";
import { writeGguf } from "./gguf-file.ts";
import { writeMergedModel } from "./merged-model.ts";
import { writeModelFolder } from "./model-folder-files.ts";
import { withAdapter } from "./weight-source.ts";

const root = mkdtempSync(join(tmpdir(), "manyhands-convert-"));
after(() => rmSync(root, { recursive: true, force: true }));
const at = (...names: string[]): string => join(root, ...names);

function adapterFor(model: ModelConfig): SavedAdapter {
  const adapter: AdapterConfig = { r: 2, loraAlpha: 4, targetModules: "all-linear" };
  const last = adapterPlaces(model, adapter).at(-1);
  const size = last ? last.offset + last.size : 0;
  const weights = Float32Array.from({ length: size }, (_, i) => ((i % 13) - 6) / 64);
  return { adapter, weights, baseModel: null, revision: null };
}

for (const [name, config] of [
  ["llama", TINY_LLAMA],
  ["gpt2", TINY_GPT2],
] as const) {
  test(`a merged ${name} is read back as base and adapter together, in shards too`, async () => {
    const base = at(`base-${name}`);
    writeTinyModel(base, config);
    writeFileSync(join(base, "generation_config.json"), '{"top_k": 7}');
    const adapter = adapterFor(config);
    const folder = await ModelFolder.open(base);
    const source = await withAdapter(folder, adapter);
    const expected = new Float32Array(await wholeOf(source));
    await folder.close();
    for (const shardBytes of [undefined, 20_000]) {
      const target = at(`merged-${name}`);
      const { files } = await writeMergedModel({
        ...{ base, adapter, target, dtype: "f32", shardBytes, card: "# it\n" },
      });
      assert.equal(files.length > 1, shardBytes !== undefined);
      const read = await importModelFolder(target);
      assert.deepEqual(read, { config, weights: expected });
      const names = readdirSync(target);
      for (const each of ["tokenizer.json", "generation_config.json", "README.md", ...files]) {
        assert.ok(names.includes(each), each);
      }
    }
    await writeMergedModel({ base, adapter, target: at(`half-${name}`), dtype: "bf16" });
    const half = await importModelFolder(at(`half-${name}`));
    const worst = expected.reduce(
      (most, x, i) => Math.max(most, Math.abs(x - (half.weights[i] ?? 0)) / (Math.abs(x) + 1e-9)),
      0,
    );
    assert.ok(worst > 0 && worst <= 2 ** -8, `${worst}`);
    const written = JSON.parse(readFileSync(at(`half-${name}`, "config.json"), "utf8"));
    assert.deepEqual([written.dtype, written.torch_dtype], ["bfloat16", "bfloat16"]);
  });
}

async function wholeOf(source: Awaited<ReturnType<typeof withAdapter>>): Promise<number[]> {
  const all: number[] = [];
  for (const place of parameterPlaces(source.config)) {
    const values = new Float32Array(place.size);
    await source.readParameter(place, values);
    all.push(...values);
  }
  return all;
}

test("a weight that f16 cannot hold is named, and nothing is left behind", async () => {
  const base = at("wide");
  const weights = writeTinyModel(base, TINY_LLAMA);
  weights[3] = 70_000;
  const target = at("wide-f16");
  const source = flatSource(TINY_LLAMA, weights);
  await assert.rejects(writeModelFolder({ source, base, target, dtype: "f16" }), (error) => {
    return error instanceof InputError && /model\.embed_tokens\.weight.*65504/.test(error.message);
  });
  assert.ok(!readdirSync(root).some((name) => name.includes("wide-f16")));
});

test("a target with anything else in it is left alone", async () => {
  const base = at("base-kept");
  writeTinyModel(base, TINY_LLAMA);
  const target = at("kept");
  mkdirSync(target);
  writeFileSync(join(target, "thesis.txt"), "years of work");
  const options = { base, adapter: adapterFor(TINY_LLAMA), target, dtype: "f32" } as const;
  await assert.rejects(writeMergedModel(options), InputError);
  assert.deepEqual(readdirSync(target), ["thesis.txt"]);
  await assert.rejects(
    writeMergedModel({ ...options, target: join(target, "thesis.txt") }),
    InputError,
  );
  const nowhere = { model: base, target: at("no", "such", "folder.gguf"), type: "f32" } as const;
  await assert.rejects(writeGguf(nowhere), ExportError);
  const text = { model: base, target: join(target, "thesis.txt"), type: "f32" } as const;
  await assert.rejects(writeGguf(text), /is there already, and is no GGUF file/);
  await assert.rejects(writeGguf({ ...text, target }), InputError);
});

test("a GGUF file has every tensor in llama.cpp's places, and is replaced by the next", async () => {
  const base = at("base-gguf");
  const weights = writeTinyModel(base, TINY_LLAMA);
  const target = at("model.gguf");
  await writeGguf({ model: base, target, type: "q8_0" });
  const result = await writeGguf({ model: base, target, type: "f32" });
  const bytes = readFileSync(target);
  assert.equal(bytes.length, result.bytes);
  assert.ok(!readdirSync(root).some((name) => name.endsWith(".new")));
  const { metadata, tensors } = readGguf(bytes);
  assert.equal(metadata.get("general.architecture"), "llama");
  assert.equal(metadata.get("llama.attention.head_count_kv"), 2);
  assert.equal((metadata.get("tokenizer.ggml.tokens") as string[]).length, 256);
  const values = new Map(tensors.map((each) => [each.name, decodeBlocks(each.type, each.bytes)]));
  const places = new Map(parameterPlaces(TINY_LLAMA).map((place) => [place.name, place]));
  const own = (name: string): Float32Array => {
    const { offset, size } = places.get(name) ?? assert.fail(name);
    return weights.subarray(offset, offset + size);
  };
  assert.deepEqual(values.get("token_embd.weight"), own("model.embed_tokens.weight"));
  assert.deepEqual(values.get("blk.1.ffn_down.weight"), own("model.layers.1.mlp.down_proj.weight"));
  // A head of 8 rows: the first half of its rows and the second alternate.
  const [q, before] = [
    values.get("blk.0.attn_q.weight"),
    own("model.layers.0.self_attn.q_proj.weight"),
  ];
  const row = (from: Float32Array | undefined, index: number): Float32Array =>
    (from ?? new Float32Array()).subarray(index * 32, (index + 1) * 32);
  for (const [to, from] of [
    [0, 0],
    [1, 4],
    [2, 1],
    [7, 7],
    [8, 8],
    [9, 12],
  ] as const) {
    assert.deepEqual(row(q, to), row(before, from), `row ${to}`);
  }
  assert.deepEqual(
    values.get("blk.0.attn_v.weight"),
    own("model.layers.0.self_attn.v_proj.weight"),
  );
});

test("a chat template goes along: a file's, or the one that is called default", async () => {
  const base = at("base-chat");
  const named = [
    { name: "tools", template: "no" },
    { name: "default", template: "{{ yes }}" },
  ];
  const files = { "tokenizer.json": tokenizerJson() };
  const config = { "tokenizer_config.json": JSON.stringify({ chat_template: named }) };
  const target = at("chat.gguf");
  const cases = [
    ["{{ yes }}", { ...files, ...config }],
    ["{{ file }}", { ...files, ...config, "chat_template.jinja": "{{ file }}" }],
  ] as const;
  for (const [expected, content] of cases) {
    writeTinyModel(base, TINY_LLAMA, content);
    await writeGguf({ model: base, target, type: "f16" });
    const { metadata } = readGguf(readFileSync(target));
    assert.equal(metadata.get("tokenizer.chat_template"), expected);
  }
  writeTinyModel(base, TINY_LLAMA, { "tokenizer.json": "{" });
  await assert.rejects(
    writeGguf({ model: base, target, type: "f16" }),
    /tokenizer\.json: .*no JSON/,
  );
});

test("rows of no whole blocks are stored as halves, and said so", async () => {
  const base = at("base-odd");
  writeTinyModel(base, TINY_LLAMA);
  const target = at("odd.gguf");
  const { unblocked } = await writeGguf({ model: base, target, type: "q4_0" });
  assert.deepEqual(unblocked, ["blk.0.ffn_down.weight", "blk.1.ffn_down.weight"]);
  const types = readGguf(readFileSync(target)).tensors.map(({ name, type }) => [name, type]);
  const found = Object.fromEntries(types);
  assert.equal(found["blk.0.ffn_down.weight"], "F16");
  assert.equal(found["blk.0.attn_q.weight"], "Q4_0");
  assert.equal(found["token_embd.weight"], "Q8_0");
  assert.equal(found["output_norm.weight"], "F32");
});

test("a model that llama.cpp computes differently is refused, with the difference", async () => {
  const llama3: RopeScaling = {
    ...{ ropeType: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4 },
    originalMaxPositionEmbeddings: 8,
  };
  const cases: readonly [RegExp, Partial<LlamaConfig>][] = [
    [/bitnet/, { modelType: "bitnet", bitLinear: "online" }],
    [/as Llama 3 does/, { modelType: "qwen3", ropeScaling: llama3 }],
    [/attention_bias/, { modelType: "qwen3", attentionBias: true }],
    [/sliding/, { modelType: "qwen2", slidingWindow: 4, layerTypes: sliding(2) }],
    [/every sixth layer/, { modelType: "gemma3_text", slidingWindow: 4, layerTypes: full(2) }],
  ];
  for (const [index, [reason, change]] of cases.entries()) {
    const base = at(`other-${index}`);
    writeTinyModel(base, { ...TINY_LLAMA, ...change });
    await assert.rejects(writeGguf({ model: base, target: at("x.gguf"), type: "f32" }), (error) => {
      return error instanceof InputError && reason.test(error.message);
    });
  }
  const bare = at("bare");
  writeTinyModel(bare, { ...TINY_LLAMA, vocabSize: 96 }, {});
  await assert.rejects(writeGguf({ model: bare, target: at("x.gguf"), type: "f32" }), /tokenizer/);
});

const sliding = (count: number) =>
  Array.from({ length: count }, () => "sliding_attention" as const);
const full = (count: number) => Array.from({ length: count }, () => "full_attention" as const);

test("BitNet's ternary matrices take no adapter", async () => {
  const config: LlamaConfig = { ...TINY_LLAMA, modelType: "bitnet", bitLinear: "online" };
  const base = at("bitnet");
  writeTinyModel(base, config);
  const options = { base, adapter: adapterFor(config), target: at("bitnet-merged") };
  await assert.rejects(writeMergedModel({ ...options, dtype: "f32" }), /ternary/);
});
