// Packed bases in files: what is written is read, what is damaged or another's is not.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { concatBytes } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { configJson } from "../checkpoint/hf-config-json.ts";
import { ModelFolder } from "../checkpoint/model-folder.ts";
import { writeSafetensors } from "../checkpoint/safetensors.ts";
import { type ModelConfig, parameterPlaces } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { openBase } from "./base-cache.ts";
import { decodeBase, encodeBase } from "./base-file.ts";
import { flatSource, quantizeBase } from "./base-model.ts";
import { BASE_KINDS, type BaseKind } from "./kinds.ts";

const MODEL: ModelConfig = {
  vocabSize: 64,
  hiddenSize: 64,
  intermediateSize: 72,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  maxPositionEmbeddings: 16,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
const WEIGHTS = initialWeights(MODEL, 1).map((w, i) => w + ((i * 37) % 101) / 1000 - 0.05);
const folder = await mkdtemp(join(tmpdir(), "manyhands-base-"));
after(() => rm(folder, { recursive: true }));

/** A model's folder, as transformers writes it. */
async function modelFolder(): Promise<string> {
  const own = await mkdtemp(join(folder, "model-"));
  const tensors = parameterPlaces(MODEL).map(({ name, shape, offset, size }) => {
    return { name, shape, values: WEIGHTS.subarray(offset, offset + size) };
  });
  await writeFile(join(own, "config.json"), configJson(MODEL));
  await writeFile(join(own, "model.safetensors"), writeSafetensors(tensors));
  return own;
}

/** Between what each kind loses at least and at most of these weights. */
const LOSSES: Readonly<Record<BaseKind, readonly number[]>> = {
  ...{ f32: [0, 0], f16: [1e-5, 1e-3], q8: [1e-4, 0.01] },
  ...{ q4: [0.01, 0.1], nf4: [0.01, 0.1], ternary: [0.05, 0.6] },
};

for (const kind of BASE_KINDS) {
  test(`${kind}: what is encoded is decoded, with its report`, async () => {
    const base = await quantizeBase(flatSource(MODEL, WEIGHTS), kind);
    const bytes = concatBytes(...encodeBase(base));
    const back = decodeBase(bytes, MODEL);
    assert.deepEqual(back.report, base.report);
    assert.deepEqual(back.payload, base.payload);
    for (const spec of parameterPlaces(MODEL)) {
      assert.deepEqual(back.values(spec.name), base.values(spec.name));
    }
    const [least = 0, most = 0] = LOSSES[kind];
    const { relativeError } = base.report;
    assert(relativeError >= least && relativeError <= most, `${kind} loses ${relativeError}`);
  });
}

test("a file with a byte changed anywhere, cut short or of another model is refused", async () => {
  const base = await quantizeBase(flatSource(MODEL, WEIGHTS), "q4");
  const bytes = concatBytes(...encodeBase(base));
  for (let at = 0; at < bytes.length; at += 211) {
    const broken = bytes.slice();
    broken[at] = (broken[at] ?? 0) ^ 0x20;
    try {
      // Only what is not read may differ: what losses the header tells.
      assert.deepEqual(decodeBase(broken, MODEL).payload, base.payload);
    } catch (caught) {
      assert(caught instanceof InputError, String(caught));
    }
  }
  assert.throws(() => decodeBase(bytes.slice(0, -1), MODEL), /damaged/);
  assert.throws(() => decodeBase(bytes.slice(0, 10), MODEL), /no base file/);
  assert.throws(() => decodeBase(new Uint8Array(0), MODEL), /no base file/);
  assert.throws(() => decodeBase(bytes, { ...MODEL, ropeTheta: 5 }), /another model/);
});

test("a model is packed once; a damaged file is made anew, a changed model packed again", async () => {
  const own = await modelFolder();
  const cacheFolder = join(folder, "cache");
  const open = async (): Promise<{ fromCache: boolean; path: string; payload: Uint8Array }> => {
    const model = await ModelFolder.open(own);
    const { base, fromCache, path } = await openBase(model, "q4", { cacheFolder });
    await model.close();
    assert(path);
    return { fromCache, path, payload: base.payload };
  };
  const first = await open();
  assert.equal(first.fromCache, false);
  assert.deepEqual(await open(), { ...first, fromCache: true });
  const bytes = await readFile(first.path);
  bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
  await writeFile(first.path, bytes);
  assert.deepEqual(await open(), first);
  await utimes(join(own, "model.safetensors"), new Date(1e12), new Date(1e12));
  const changed = await open();
  assert.equal(changed.fromCache, false);
  assert.notEqual(changed.path, first.path);
});
