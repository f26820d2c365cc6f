// The compute port of a run that trains adapters: the base comes as a file, steps move adapters,
// what another run's base or a small device would break is refused.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { concatBytes, toHex, utf8 } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { blobRoot, sha256 } from "@manyhands/base/hash";
import { adapterSpecs } from "@manyhands/engine/adapters/config";
import { initialAdapters } from "@manyhands/engine/adapters/initial-adapters";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import { encodeBase } from "@manyhands/engine/quantize/base-file";
import { flatSource, quantizeBase } from "@manyhands/engine/quantize/base-model";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { TEST_MODEL, testRun } from "@manyhands/protocol/testing/fixtures";
import { adapterParts } from "../compute/adapter-parts.ts";
import type { HeldGpu, Trial } from "../compute/held-gpu.ts";
import { MEMORY_LIMIT } from "../core/types.ts";
import { failureOf } from "../host/job-runner.ts";
import { OrtCompute } from "./ort-compute.ts";

const FILE = utf8("the quick brown fox jumps over the lazy dog. ".repeat(60));
const MODEL = { ...TEST_MODEL, hiddenSize: 32, intermediateSize: 64 };
const ADAPTER = {
  ...{ r: 4, loraAlpha: 8, loraDropout: 0.1, useRslora: false, useDora: true },
  targetModules: "all-linear" as const,
};

const weights = initialWeights(MODEL, 1).map((w, i) => w + ((i * 29) % 83) / 600 - 0.07);
const base = await quantizeBase(flatSource(MODEL, weights), "nf4");
const baseFile = concatBytes(...encodeBase(base));

function tunedRun(changes: Partial<FrozenRun> = {}): FrozenRun {
  const run = testRun();
  const fragments = adapterSpecs(MODEL, ADAPTER).map(({ name, shape }) => {
    return { name, shape: [...shape], dtype: "f32" as const };
  });
  const stored = { byteLength: baseFile.length, root: toHex(blobRoot(baseFile, sha256)) };
  const recipe = { ...run.recipe, optimizer: "adamw" as const, batchSequences: 4 };
  const tuning = {
    method: "lora" as const,
    adapter: ADAPTER,
    base: { kind: "nf4" as const, ...stored },
  };
  return { ...run, model: MODEL, fragments, recipe, tuning, ...changes };
}

const all: OrtCompute[] = [];
after(async () => {
  for (const compute of all) await compute.dispose();
});

async function prepared(
  { run = tunedRun(), files = [FILE, baseFile] }: { run?: FrozenRun; files?: Uint8Array[] } = {},
  memoryBytesMax?: number,
): Promise<OrtCompute> {
  let micros = 0;
  const compute = new OrtCompute({
    threads: 1,
    nowMicros: () => (micros += 1_000),
    memoryBytesMax,
  });
  all.push(compute);
  await compute.prepare(run, files);
  return compute;
}

const FIRST = initialAdapters(base, ADAPTER, 1);

function request(from: Float32Array, innerSteps = 30) {
  const signal = new AbortController().signal;
  return {
    base: from,
    firstSample: 0,
    innerSteps,
    scale: () => 1,
    signal,
    onStep: () => undefined,
  };
}

test("on a GPU that draws, steps that hold it for long are made of fewer sequences", async () => {
  const trials: Trial[] = [];
  // Each sequence takes 40 ms: two of four may be computed at once.
  let size = 0;
  const gpu: HeldGpu = {
    msMax: 100,
    longestMs: async (work) => {
      await work();
      size = size === 0 ? 4 : 2;
      return 40 * size;
    },
    onTrial: (trial) => trials.push(trial),
  };
  const device = { runtime: ortNode, threads: 1, memoryBytesMax: undefined, otherBytes: 0 };
  const gentle = await adapterParts(tunedRun(), baseFile, { ...device, gpu });
  assert.deepEqual(trials, [
    { microBatch: 4, ms: 160 },
    { microBatch: 2, ms: 80 },
  ]);
  assert.equal(gentle.stepper.microBatch, 2);
  const whole = await adapterParts(tunedRun(), baseFile, device);
  const tokens = Int32Array.from({ length: 4 * (tunedRun().recipe.contextLength + 1) }, (_, i) => {
    return (i * 7) % 251;
  });
  const losses: number[] = [];
  for (const { stepper } of [gentle, whole]) {
    await stepper.load(FIRST);
    losses.push((await stepper.step(tokens, { learningRateScale: 1 })).loss);
    await stepper.dispose();
  }
  const [pieces = 0, once = 1] = losses;
  assert.ok(Math.abs(pieces - once) < 0.02 * once, "trials left nothing behind");
});

test("the loss falls by adapters alone, and the optimiser's state goes on in another process", async () => {
  const compute = await prepared();
  assert.equal(compute.initialWeights(tunedRun()), null, "the first ones come as a checkpoint");
  const windows = [0, 1, 2, 3, 4, 5];
  const before = await compute.evaluate(FIRST, windows);
  const report = await compute.train(request(FIRST));
  assert.equal(report.innerSteps, 30);
  const local = FIRST.map((value, i) => value - (report.pseudoGradient[i] ?? 0));
  const afterwards = await compute.evaluate(local, windows);
  assert(afterwards.loss < 0.9 * before.loss, `${before.loss} fell to ${afterwards.loss}`);
  assert.equal(afterwards.tokens, before.tokens);
  const state = compute.optimizer();
  assert(state && state.step === 30);
  const other = await prepared();
  assert(other.loadOptimizer(state));
  const [one, two] = [await compute.train(request(local, 3)), await other.train(request(local, 3))];
  assert.deepEqual(two.pseudoGradient, one.pseudoGradient);
  const short = { ...state, moment1: state.moment1.slice(1) };
  assert.equal(other.loadOptimizer(short), false);
  other.resetOptimizer();
  assert.equal(other.optimizer()?.step, 0);
});

test("ids of a tokenizer are tokens; one that the model lacks is refused", async () => {
  const ids = Int32Array.from({ length: 800 }, (_, i) => (i * i) % 256);
  const run = tunedRun({ tokenizer: "ids" });
  const compute = await prepared({ run, files: [new Uint8Array(ids.buffer), baseFile] });
  assert.equal((await compute.train(request(FIRST, 2))).innerSteps, 2);
  ids[7] = 256;
  const strange = prepared({ run, files: [new Uint8Array(ids.buffer), baseFile] });
  await assert.rejects(strange, /the data has the id 256; the vocabulary has 256/);
  const torn = prepared({ run, files: [new Uint8Array(ids.buffer, 0, 799), baseFile] });
  await assert.rejects(torn, /no multiple of 4/);
});

test("tokens that are not counted teach nothing, and a batch of them takes no step", async () => {
  const text = Int32Array.from({ length: 800 }, (_, i) => (i * i) % 256);
  const masked = text.map((id) => -1 - id);
  const run = tunedRun({ tokenizer: "ids" });
  const compute = await prepared({ run, files: [new Uint8Array(masked.buffer), baseFile] });
  const none = await compute.train(request(FIRST, 2));
  assert.equal(none.innerSteps, 2);
  assert(none.pseudoGradient.every((x) => x === 0) && none.meanLoss === 0);
  const half = text.map((id, i) => (i % 2 === 0 ? id : -1 - id));
  const some = await prepared({ run, files: [new Uint8Array(half.buffer), baseFile] });
  assert((await some.train(request(FIRST, 2))).pseudoGradient.some((x) => x !== 0));
  const [one, all] = [await some.evaluate(FIRST, [0, 1]), await compute.evaluate(FIRST, [0, 1])];
  assert.equal(one.tokens, 8);
  assert.equal(all.tokens, 0);
});

test("a damaged base, another model's base, and other fragments are refused", async () => {
  const torn = prepared({ files: [FILE, baseFile.slice(0, -1)] });
  await assert.rejects(torn, InputError);
  const model = { ...MODEL, ropeTheta: 500 };
  await assert.rejects(prepared({ run: tunedRun({ model }) }), /another model/);
  const { fragments } = tunedRun();
  await assert.rejects(
    prepared({ run: tunedRun({ fragments: fragments.slice(1) }) }),
    /fragment 0/,
  );
});

test("a device that is surely too small says so before anything is compiled", async () => {
  const caught: unknown = await prepared({}, 50e6).catch((error: unknown) => error);
  assert.equal(failureOf(caught)?.code, MEMORY_LIMIT);
});
