// Model folders that others wrote: every stored type, shards, older habits; and each hostile file,
// refused by its code, its file and its tensor.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { concatBytes, utf8 } from "@manyhands/base/bytes";
import type { Gpt2Config, LlamaConfig, ModelConfig } from "../model/config.ts";
import { parameterPlaces } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { configJson } from "./hf-config-json.ts";
import { type ModelFileCode, ModelFileError } from "./model-files.ts";
import { importModelFolder, ModelFolder } from "./model-folder.ts";

const root = mkdtempSync(join(tmpdir(), "manyhands-model-"));
after(() => rmSync(root, { recursive: true, force: true }));

const LLAMA: LlamaConfig = {
  vocabSize: 11,
  hiddenSize: 8,
  intermediateSize: 12,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  maxPositionEmbeddings: 16,
  rmsNormEps: 1e-6,
  ropeTheta: 500,
  tieWordEmbeddings: true,
};
const GPT2: Gpt2Config = {
  ...{ modelType: "gpt2", vocabSize: 11, nPositions: 6, nEmbd: 8, nLayer: 1, nHead: 2, nInner: 12 },
  ...{ layerNormEpsilon: 1e-5, tieWordEmbeddings: true },
};

type Stored = {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
};

let count = 0;
function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  count += 1;
  const folder = join(root, String(count));
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** A safetensors file, written by hand: any dtype, any header. */
function fileOf(tensors: readonly Stored[], pad = true): Uint8Array {
  let at = 0;
  const lines = tensors.map(({ name, dtype, shape, bytes }) => {
    const offsets = [at, at + bytes.length];
    at += bytes.length;
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: offsets })}`;
  });
  return withHeader(`{${lines.join(",")}}`, pad, ...tensors.map(({ bytes }) => bytes));
}

function withHeader(header: string, pad: boolean, ...parts: Uint8Array[]): Uint8Array {
  const text = pad ? header.padEnd(Math.ceil(header.length / 8) * 8) : header;
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return concatBytes(length, utf8(text), ...parts);
}

/** Numbers that every stored type holds exactly. */
function weightsOf(config: ModelConfig): Float32Array {
  return initialWeights(config, 5).map((_, i) => ((i % 61) - 30) / 16);
}

function bytesOf(values: Float32Array, dtype: string): Uint8Array {
  if (dtype === "F32") return new Uint8Array(values.buffer.slice(0), 0, 4 * values.length);
  const words = new Uint16Array(values.length);
  const bits = new Uint32Array(values.slice().buffer);
  for (let i = 0; i < values.length; i++) {
    words[i] = dtype === "BF16" ? (bits[i] ?? 0) >>> 16 : halfBits(values[i] ?? 0);
  }
  return new Uint8Array(words.buffer);
}

/** A half float's bits, for normal numbers that it holds exactly. */
function halfBits(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const fraction = Math.round((Math.abs(value) / 2 ** exponent - 1) * 1024);
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
}

function tensorsOf(config: ModelConfig, dtype = "F32"): readonly Stored[] {
  const weights = weightsOf(config);
  return parameterPlaces(config).map(({ name, shape, offset, size }) => {
    const values = weights.slice(offset, offset + size);
    return { name, dtype, shape, bytes: bytesOf(values, dtype) };
  });
}

for (const dtype of ["F32", "F16", "BF16"]) {
  for (const config of [LLAMA, GPT2]) {
    test(`${config.modelType ?? "llama"} in ${dtype} is read to the bit, aligned or not`, async () => {
      for (const pad of [true, false]) {
        const file = fileOf(tensorsOf(config, dtype), pad);
        const files = { "config.json": configJson(config), "model.safetensors": file };
        const read = await importModelFolder(folderOf(files));
        assert.deepEqual(read, { config, weights: weightsOf(config) });
      }
    });
  }
}

function sharded(change?: (map: Record<string, string>) => void): string {
  const tensors = tensorsOf(LLAMA, "BF16");
  const [first, second] = [tensors.slice(0, 4), tensors.slice(4)];
  const map: Record<string, string> = {};
  for (const { name } of first) map[name] = "model-00001-of-00002.safetensors";
  for (const { name } of second) map[name] = "model-00002-of-00002.safetensors";
  change?.(map);
  return folderOf({
    "config.json": configJson(LLAMA),
    "model.safetensors.index.json": JSON.stringify({ metadata: {}, weight_map: map }),
    "model-00001-of-00002.safetensors": fileOf(first),
    "model-00002-of-00002.safetensors": fileOf(second),
  });
}

test("shards are one model; a parameter can be read alone", async () => {
  const folder = sharded();
  assert.deepEqual((await importModelFolder(folder)).weights, weightsOf(LLAMA));
  const model = await ModelFolder.open(folder);
  const [place] = parameterPlaces(LLAMA).slice(-1);
  assert(place);
  const own = new Float32Array(place.size);
  await model.readParameter(place, own);
  assert.deepEqual(own, weightsOf(LLAMA).slice(place.offset));
  assert.equal(model.dtype, "BF16");
  await model.close();
});

test("older habits: GPT-2 without its prefix, masks, a tied head stored again", async () => {
  const mask = {
    name: "h.0.attn.bias",
    dtype: "U8",
    shape: [1, 1, 2, 2],
    bytes: new Uint8Array(4),
  };
  const bare = tensorsOf(GPT2).map((each) => ({
    ...each,
    name: each.name.replace("transformer.", ""),
  }));
  const [wte] = bare;
  assert(wte);
  const file = fileOf([...bare, mask, { ...wte, name: "lm_head.weight" }]);
  const folder = folderOf({ "config.json": configJson(GPT2), "model.safetensors": file });
  const model = await ModelFolder.open(folder);
  assert.deepEqual(await model.readWeights(), weightsOf(GPT2));
  assert.deepEqual(model.ignored, ["h.0.attn.bias", "lm_head.weight"]);
  await model.close();
});

const BITNET: LlamaConfig = { ...LLAMA, modelType: "bitnet", bitLinear: "offline" };

/** Ternary matrices in bytes of four rows each, with their scales. */
function packedModel(code = 0): readonly Stored[] {
  return tensorsOf(BITNET, "BF16").flatMap((each) => {
    const [rows = 0, columns = 0] = each.shape;
    if (each.shape.length === 1 || each.name.includes("embed")) return [each];
    const bytes = new Uint8Array((rows / 4) * columns).map((_, i) => (i % 3) | (2 << 6) | code);
    const scale = bytesOf(Float32Array.of(0.25), "BF16");
    return [
      { name: each.name, dtype: "U8", shape: [rows / 4, columns], bytes },
      { name: `${each.name}_scale`, dtype: "BF16", shape: [1], bytes: scale },
    ];
  });
}

test("packed ternary matrices are numbers times or through their scale", async () => {
  for (const [linear_class, scale] of [
    ["autobitlinear", 0.25],
    ["bitlinear", 4],
  ] as const) {
    const fields = JSON.parse(configJson(BITNET));
    const quantization_config = { quant_method: "bitnet", linear_class };
    const config = JSON.stringify({ ...fields, quantization_config });
    const file = fileOf(packedModel());
    const read = await importModelFolder(
      folderOf({ "config.json": config, "model.safetensors": file }),
    );
    assert.deepEqual(read.config, BITNET);
    const q = parameterPlaces(BITNET).find(({ name }) => name.endsWith("q_proj.weight"));
    assert(q);
    const own = [...read.weights.subarray(q.offset, q.offset + q.size)];
    // Rows 0 and 1 are packed row 0 and 1's lowest bits, rows 6 and 7 their highest.
    assert.deepEqual(own.slice(0, 3), [-scale, 0, scale]);
    assert.deepEqual(own.slice(-3), [scale, scale, scale]);
    assert.equal(own[3 * 8], -scale);
  }
});

type Hostile = {
  readonly what: string;
  readonly code: ModelFileCode;
  readonly folder: () => string;
  /** What the message must name: a file or a tensor. */
  readonly names: RegExp;
};

const GOOD = tensorsOf(LLAMA);
const CONFIG = configJson(LLAMA);

function single(tensors: readonly Stored[] | Uint8Array, config = CONFIG): () => string {
  const bytes = tensors instanceof Uint8Array ? tensors : fileOf(tensors);
  return () => folderOf({ "config.json": config, "model.safetensors": bytes });
}

function changed(name: string, change: Partial<Stored>): readonly Stored[] {
  return GOOD.map((each) => (each.name === name ? { ...each, ...change } : each));
}

const NORM = "model.norm.weight";
const nan = bytesOf(Float32Array.of(1, 2, Number.NaN, 4, 5, 6, 7, 8), "F32");
const line = (offsets: readonly number[]): string =>
  JSON.stringify({ dtype: "F32", shape: [1], data_offsets: offsets });
const overlapping = `{"a":${line([0, 4])},"b":${line([2, 6])}}`;
const hugeHeader = Uint8Array.of(255, 255, 255, 255, 255, 255, 0, 0, 123, 125);
const wholeFile = fileOf(GOOD);
const mamba = JSON.stringify({ model_type: "mamba", architectures: ["MambaForCausalLM"] });

const HOSTILE: readonly Hostile[] = [
  {
    ...{ what: "an empty file", code: "safetensors/truncated" },
    ...{ folder: single(new Uint8Array(0)), names: /model\.safetensors: 0 bytes/ },
  },
  {
    ...{ what: "a file cut in a tensor", code: "safetensors/truncated" },
    ...{ folder: single(wholeFile.subarray(0, -5)), names: /"model\.norm\.weight" ends at byte/ },
  },
  {
    ...{ what: "a header larger than the file", code: "safetensors/truncated" },
    ...{ folder: single(wholeFile.subarray(0, 99)), names: /model\.safetensors: a header of/ },
  },
  {
    ...{ what: "an oversized header", code: "safetensors/header-length" },
    ...{ folder: single(hugeHeader), names: /model\.safetensors: a header has/ },
  },
  {
    ...{ what: "tensors that overlap", code: "safetensors/overlap" },
    folder: single(withHeader(overlapping, true, new Uint8Array(6))),
    names: /model\.safetensors: "b" starts at 2/,
  },
  {
    ...{ what: "a type that no float is", code: "safetensors/dtype" },
    folder: single(changed(NORM, { dtype: "I64", bytes: new Uint8Array(64) })),
    names: /model\.norm\.weight.*"I64"/,
  },
  {
    ...{ what: "bytes where floats belong", code: "import/dtype" },
    folder: single(changed(NORM, { dtype: "U8", bytes: new Uint8Array(8) })),
    names: /model\.safetensors: the tensor "model\.norm\.weight": its type is U8/,
  },
  {
    ...{ what: "a transposed matrix", code: "import/shape" },
    folder: single(changed("model.layers.0.mlp.up_proj.weight", { shape: [8, 12] })),
    names: /up_proj\.weight": its shape: expected \(12, 8\), found \(8, 12\)/,
  },
  {
    ...{ what: "a tensor missing", code: "import/missing" },
    folder: single(GOOD.slice(0, -1)),
    names: /"model\.norm\.weight": the model needs it/,
  },
  {
    ...{ what: "a tensor too many", code: "import/unknown" },
    folder: single([...GOOD, { ...(GOOD[0] as Stored), name: "model.backdoor" }]),
    names: /"model\.backdoor"/,
  },
  {
    ...{ what: "a value that is no number", code: "import/not-finite" },
    ...{ folder: single(changed(NORM, { bytes: nan })), names: /model\.norm\.weight.*not finite/ },
  },
  {
    ...{ what: "a pickle in disguise", code: "import/pickle" },
    folder: single(Uint8Array.of(0x80, 4, 0x95, 12, 0, 0, 0, 0, 0, 0, 0, 0x8c)),
    names: /model\.safetensors: .*Python pickle/,
  },
  {
    ...{ what: "a torch zip in disguise", code: "import/pickle" },
    folder: single(concatBytes(utf8("PK\u0003\u0004"), new Uint8Array(40))),
    names: /model\.safetensors: .*zip/,
  },
  {
    ...{ what: "only a pickle", code: "import/pickle" },
    folder: () => folderOf({ "config.json": CONFIG, "pytorch_model.bin": "x" }),
    names: /pytorch_model\.bin/,
  },
  {
    ...{ what: "no weights", code: "import/no-file" },
    folder: () => folderOf({ "config.json": CONFIG }),
    names: /model\.safetensors/,
  },
  {
    ...{ what: "no config", code: "import/no-file" },
    ...{ folder: () => folderOf({}), names: /config\.json/ },
  },
  {
    ...{ what: "a config without an end", code: "import/too-long" },
    folder: single(GOOD, `{"a":"${"x".repeat((16 << 20) - 7)}"}`),
    names: /config\.json: it has 16777217 bytes/,
  },
  {
    ...{ what: "the longest config", code: "import/config" },
    folder: single(GOOD, `{"a":"${"x".repeat((16 << 20) - 8)}"}`),
    names: /config\.json: the architecture nothing is not supported/,
  },
  {
    ...{ what: "a folder instead of a file", code: "import/no-file" },
    folder: () => {
      const folder = folderOf({ "config.json": CONFIG });
      mkdirSync(join(folder, "model.safetensors"));
      return folder;
    },
    names: /model\.safetensors: it is no file/,
  },
  {
    ...{ what: "an unsupported architecture", code: "import/config" },
    folder: single(GOOD, mamba),
    names: /"mamba" \("MambaForCausalLM"\) is not supported; supported: llama, .*bitnet/,
  },
  ...[
    "../secret.safetensors",
    "/etc/passwd",
    "a/b.safetensors",
    "..\\x.safetensors",
    ".safetensors",
  ].map(
    (path): Hostile => ({
      ...{
        what: `a shard at ${path}`,
        code: "import/path",
        names: /"model\.norm\.weight": its file/,
      },
      folder: () =>
        sharded((map) => {
          map[NORM] = path;
        }),
    }),
  ),
  {
    ...{ what: "a shard that is not there", code: "import/no-file" },
    folder: () =>
      sharded((map) => {
        map[NORM] = "model-00003-of-00002.safetensors";
      }),
    names: /model-00003-of-00002\.safetensors/,
  },
  {
    ...{ what: "an index that puts a tensor elsewhere", code: "import/index" },
    folder: () =>
      sharded((map) => {
        map[NORM] = "model-00001-of-00002.safetensors";
      }),
    names: /"model\.norm\.weight": the index puts it into model-00001/,
  },
  {
    ...{ what: "an index that forgets a tensor", code: "import/index" },
    folder: () => sharded((map) => void delete map[NORM]),
    names: /"model\.norm\.weight": .*model-00002-of-00002\.safetensors holds it/,
  },
  {
    ...{ what: "an index without a map", code: "import/index" },
    folder: () => folderOf({ "config.json": CONFIG, "model.safetensors.index.json": "{}" }),
    names: /index\.json/,
  },
  {
    ...{ what: "two bits that say 3", code: "import/value" },
    folder: single(packedModel(3 << 2), configJson(BITNET)),
    names: /q_proj\.weight": two bits say 3/,
  },
];

for (const { what, code, folder, names } of HOSTILE) {
  test(`${what}: ${code}`, async () => {
    await assert.rejects(importModelFolder(folder()), (error) => {
      assert(error instanceof ModelFileError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, names);
      assert(error.hint && error.message.length < 600);
      return true;
    });
  });
}

test("a tensor in two files is refused", async () => {
  const folder = sharded();
  const twice = tensorsOf(LLAMA, "BF16").slice(3);
  writeFileSync(join(folder, "model-00002-of-00002.safetensors"), fileOf(twice));
  await assert.rejects(importModelFolder(folder), (error) => {
    return error instanceof ModelFileError && error.code === "import/duplicate";
  });
});
