// Adapters' loss and gradients over every kind of base are those of the whole model's graph with the
// adapters merged in: dB = s dW Aᵀ and dA = s Bᵀ dW.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "@manyhands/base/random";
import {
  type AdapterConfig,
  adapterPlaces,
  adapterScale,
  adapterTensorName,
  targetedModules,
} from "../adapters/config.ts";
import { type ModelConfig, parameterPlaces } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { flatSource, quantizeBase } from "../quantize/base-model.ts";
import { BASE_KINDS, type BaseKind } from "../quantize/kinds.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { relativeDistance } from "../vectors.ts";
import { createFineTuner, type FineTuner } from "./fine-tuner.ts";
import { createFullTuner } from "./full-tuner.ts";
import { ADAMW_RECIPE } from "./options.ts";
import { createTrainer } from "./trainer.ts";
import type { TuneBatch, TuneStep } from "./tuner.ts";

const LLAMA: ModelConfig = {
  vocabSize: 96,
  hiddenSize: 64,
  intermediateSize: 96,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 32,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
const GPT2: ModelConfig = {
  modelType: "gpt2",
  vocabSize: 96,
  nPositions: 32,
  nEmbd: 64,
  nLayer: 2,
  nHead: 4,
  nInner: 128,
  layerNormEpsilon: 1e-5,
  tieWordEmbeddings: true,
};
const BATCH = { sequences: 2, contextLength: 16 };
const SIZE = BATCH.sequences * BATCH.contextLength;
const ADAPTER: AdapterConfig = { r: 4, loraAlpha: 8, targetModules: "all-linear" };

/** Weights without the zeros that real training starts from. */
function someWeights(model: ModelConfig): Float32Array {
  const random = new Random(5);
  return initialWeights(model, 1).map((w) => w + 0.2 * (random.unit() - 0.5));
}

function someTokens(model: ModelConfig, seed: number): TuneBatch {
  const random = new Random(seed);
  const next = (): Int32Array =>
    Int32Array.from({ length: SIZE }, () => random.below(model.vocabSize));
  return { tokens: next(), targets: next() };
}

async function tunerOf(
  model: ModelConfig,
  kind: BaseKind,
  adapter: AdapterConfig = ADAPTER,
): Promise<FineTuner> {
  const base = await quantizeBase(flatSource(model, someWeights(model)), kind);
  const tuner = await createFineTuner({
    ...{ runtime: ortNode, base, adapter, batch: BATCH, seed: 3 },
  });
  const random = new Random(9);
  for (const { name, offset, size } of adapterPlaces(model, adapter)) {
    if (!name.endsWith("lora_B.weight")) continue;
    for (let i = offset; i < offset + size; i++) tuner.weights[i] = 0.2 * (random.unit() - 0.5);
  }
  return tuner;
}

/** Elements (i, j) of a stored matrix [in, out] or [out, in], by output and input. */
function indexer(module: { inSize: number; outSize: number; inputMajor: boolean }) {
  return (output: number, input: number): number =>
    module.inputMajor ? input * module.outSize + output : output * module.inSize + input;
}

/** All weights: the base's, as it multiplies, with the adapters added. */
async function mergedWeights(tuner: FineTuner): Promise<Float32Array> {
  const places = new Map(parameterPlaces(tuner.model).map((place) => [place.name, place] as const));
  const weights = new Float32Array([...places.values()].reduce((sum, { size }) => sum + size, 0));
  for (const place of places.values()) {
    const own = weights.subarray(place.offset, place.offset + place.size);
    await tuner.base.readParameter(place, own);
  }
  const scale = adapterScale(tuner.adapter);
  const { a, b } = tensorsOf(tuner, tuner.weights);
  for (const module of targetedModules(tuner.model, tuner.adapter)) {
    const at = indexer(module);
    const offset = places.get(`${module.name}.weight`)?.offset ?? 0;
    const [A, B] = [a(module.name), b(module.name)];
    for (let o = 0; o < module.outSize; o++) {
      for (let i = 0; i < module.inSize; i++) {
        let sum = 0;
        for (let r = 0; r < tuner.adapter.r; r++) {
          sum += (B[o * tuner.adapter.r + r] ?? 0) * (A[r * module.inSize + i] ?? 0);
        }
        const index = offset + at(o, i);
        weights[index] = (weights[index] ?? 0) + scale * sum;
      }
    }
  }
  return weights;
}

function tensorsOf(tuner: FineTuner, flat: Float32Array) {
  const places = adapterPlaces(tuner.model, tuner.adapter);
  const find = (name: string): Float32Array => {
    const place = places.find((one) => one.name === name);
    assert(place);
    return flat.subarray(place.offset, place.offset + place.size);
  };
  return {
    a: (module: string) => find(adapterTensorName(module, "lora_A.weight")),
    b: (module: string) => find(adapterTensorName(module, "lora_B.weight")),
  };
}

/** The adapters' gradients from those of the merged matrices. */
function chained(tuner: FineTuner, gradients: Float32Array): Float32Array {
  const result = new Float32Array(tuner.weights.length);
  const [given, into] = [tensorsOf(tuner, tuner.weights), tensorsOf(tuner, result)];
  const places = new Map(parameterPlaces(tuner.model).map((place) => [place.name, place] as const));
  const scale = adapterScale(tuner.adapter);
  const rank = tuner.adapter.r;
  for (const module of targetedModules(tuner.model, tuner.adapter)) {
    const at = indexer(module);
    const offset = places.get(`${module.name}.weight`)?.offset ?? 0;
    const [A, B] = [given.a(module.name), given.b(module.name)];
    const [dA, dB] = [into.a(module.name), into.b(module.name)];
    for (let o = 0; o < module.outSize; o++) {
      for (let i = 0; i < module.inSize; i++) {
        const dw = scale * (gradients[offset + at(o, i)] ?? 0);
        for (let r = 0; r < rank; r++) {
          const [ai, bi] = [r * module.inSize + i, o * rank + r];
          dA[ai] = (dA[ai] ?? 0) + dw * (B[bi] ?? 0);
          dB[bi] = (dB[bi] ?? 0) + dw * (A[ai] ?? 0);
        }
      }
    }
  }
  return result;
}

for (const [name, model] of Object.entries({ LLAMA, GPT2 })) {
  for (const kind of BASE_KINDS) {
    test(`${name} on ${kind}: loss and gradients are those of the merged model`, async () => {
      const tuner = await tunerOf(model, kind);
      const own = someTokens(model, 7);
      const trainer = await createTrainer({
        ...{ runtime: ortNode, model, optimizer: ADAMW_RECIPE, batch: BATCH },
      });
      trainer.weights.set(await mergedWeights(tuner));
      const rows = BATCH.contextLength + 1;
      const tokens = new Int32Array(BATCH.sequences * rows);
      const shifted = { ...own, targets: own.targets.slice() };
      for (let b = 0; b < BATCH.sequences; b++) {
        const ids = own.tokens.subarray(b * BATCH.contextLength, (b + 1) * BATCH.contextLength);
        tokens.set(ids, b * rows);
        shifted.targets.set(ids.subarray(1), b * BATCH.contextLength);
        tokens[b * rows + rows - 1] = own.targets[(b + 1) * BATCH.contextLength - 1] ?? 0;
      }
      const { loss, gradients } = await tuner.gradients(shifted);
      const expected = await trainer.gradients(tokens);
      assert(Math.abs(loss - expected.loss) < 1e-5 * expected.loss, `${loss} ${expected.loss}`);
      const distance = relativeDistance(gradients, chained(tuner, expected.gradients));
      assert(distance < 2e-5, `off by ${distance}`);
      const evaluation = await tuner.evaluate(shifted);
      assert(Math.abs(evaluation.loss - loss) < 1e-6 * loss);
      await tuner.close();
      await trainer.dispose();
    });
  }
}

/** A batch whose targets are the next tokens, as the trainer's are, with half of them masked. */
function masked(batch: TuneBatch): TuneBatch {
  return { ...batch, targets: batch.targets.map((id, place) => (place % 3 === 0 ? -1 : id)) };
}

test("all weights: masked targets count nothing, and micro-batches add up", async () => {
  const own = masked(someTokens(LLAMA, 7));
  const other = masked(someTokens(LLAMA, 8));
  const setup = { runtime: ortNode, model: LLAMA, weights: someWeights(LLAMA), batch: BATCH };
  const [whole, blocks] = [
    await createFullTuner(setup),
    await createFullTuner({ ...setup, recomputation: "blocks" }),
  ];
  const expected = await whole.gradients([own, other]);
  const kept = expected.gradients.slice();
  const twice = await blocks.gradients([own, other]);
  assert(Math.abs(twice.loss - expected.loss) < 1e-5);
  assert(relativeDistance(twice.gradients, kept) < 1e-5);
  // What is not counted may be any token at all.
  const changed = own.targets.map((id) => (id < 0 ? -7 : id));
  const again = await whole.gradients([{ ...own, targets: changed }, other]);
  assert.deepEqual(again.gradients, kept);
  const one = await whole.gradients(own);
  const [a, evaluation] = [one.loss, await whole.evaluate(own)];
  assert(Math.abs(evaluation.loss - a) < 1e-5);
  const b = (await whole.gradients(other)).loss;
  assert(Math.abs((a + b) / 2 - expected.loss) < 1e-5, "the mean is over all counted tokens");
  await Promise.all([whole.close(), blocks.close()]);
});

test("adapters: masked targets count nothing, and micro-batches add up", async () => {
  const own = masked(someTokens(LLAMA, 7));
  const other = masked(someTokens(LLAMA, 8));
  const tuner = await tunerOf(LLAMA, "q4");
  const both = await tuner.gradients([own, other]);
  const sum = both.gradients.slice();
  const first = await tuner.gradients(own);
  const added = first.gradients.slice();
  const second = await tuner.gradients(other);
  added.forEach((slope, i) => {
    added[i] = (slope + (second.gradients[i] ?? 0)) / 2;
  });
  assert(relativeDistance(added, sum) < 1e-5);
  assert(Math.abs((first.loss + second.loss) / 2 - both.loss) < 1e-5);
  const none = { ...own, targets: own.targets.map(() => -1) };
  await assert.rejects(tuner.step(none, { learningRate: 1 }), /no token/);
  assert.equal((await tuner.evaluate(none)).tokens, 0);
  await tuner.close();
});

/** Directional derivatives of the loss by every tensor of the adapters, by central differences. */
async function checkSlopes(model: ModelConfig, adapter: AdapterConfig): Promise<void> {
  const tuner = await tunerOf(model, "q8", adapter);
  const batch = someTokens(model, 4);
  const { gradients } = await tuner.gradients(batch);
  const slopes = gradients.slice();
  const random = new Random(6);
  for (const { name, offset, size } of adapterPlaces(model, adapter)) {
    const direction = Float32Array.from({ length: size }, () => random.unit() - 0.5);
    const kept = tuner.weights.slice(offset, offset + size);
    const lossAt = async (step: number): Promise<number> => {
      for (let i = 0; i < size; i++) {
        tuner.weights[offset + i] = (kept[i] ?? 0) + step * (direction[i] ?? 0);
      }
      return (await tuner.gradients(batch)).loss;
    };
    const step = 0.02;
    const measured = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    tuner.weights.set(kept, offset);
    const expected = direction.reduce((sum, d, i) => sum + d * (slopes[offset + i] ?? 0), 0);
    const most = Math.max(Math.abs(expected), 0.02);
    assert(Math.abs(measured - expected) < 0.03 * most, `${name}: ${measured}, not ${expected}`);
  }
  await tuner.close();
}

test("dropout's gradients are those of the same dropout", () =>
  checkSlopes(LLAMA, { ...ADAPTER, loraDropout: 0.3, useRslora: true }));

test("DoRA's magnitudes have the slopes of the loss", async () => {
  // A and B have those of a norm that does not move: only magnitudes' are the loss's own.
  const adapter = { ...ADAPTER, useDora: true };
  const tuner = await tunerOf(GPT2, "f32", adapter);
  await tuner.close();
  await checkMagnitudes(LLAMA, adapter);
  await checkMagnitudes(GPT2, adapter);
});

async function checkMagnitudes(model: ModelConfig, adapter: AdapterConfig): Promise<void> {
  const tuner = await tunerOf(model, "q4", adapter);
  const batch = someTokens(model, 4);
  const slopes = (await tuner.gradients(batch)).gradients.slice();
  for (const { name, offset } of adapterPlaces(model, adapter)) {
    if (!name.endsWith("lora_magnitude_vector")) continue;
    const kept = tuner.weights[offset] ?? 0;
    const lossAt = async (value: number): Promise<number> => {
      tuner.weights[offset] = value;
      return (await tuner.gradients(batch)).loss;
    };
    const step = kept * 0.2;
    const measured = ((await lossAt(kept + step)) - (await lossAt(kept - step))) / (2 * step);
    tuner.weights[offset] = kept;
    const off = Math.abs(measured - (slopes[offset] ?? 0));
    assert(off < 2e-3, `${name}: ${measured}, not ${slopes[offset]}`);
  }
  await tuner.close();
}

for (const bitLinear of ["online", "offline"] as const) {
  test(`BitNet, ${bitLinear}: 2 bits hold its matrices, and train what float32 trains`, async () => {
    const model: ModelConfig = { ...LLAMA, modelType: "bitnet", bitLinear };
    const ternary = (weights: Float32Array): Float32Array => {
      const all = weights.slice();
      for (const { name, shape, offset, size } of parameterPlaces(model)) {
        if (shape.length < 2 || !name.startsWith("model.layers.")) continue;
        const own = all.subarray(offset, offset + size);
        own.forEach((w, i) => {
          own[i] = w > 0.05 ? 0.07 : w < -0.05 ? -0.07 : 0;
        });
      }
      return all;
    };
    const weights = bitLinear === "offline" ? ternary(someWeights(model)) : someWeights(model);
    const found: { loss: number; gradients: Float32Array }[] = [];
    const stored = await quantizeBase(flatSource(model, weights), "ternary");
    // Offline, float32 gets the stored values, embedding included; online it makes its own.
    const source = bitLinear === "offline" ? stored : flatSource(model, weights);
    for (const base of [stored, await quantizeBase(source, "f32")]) {
      const adapter = { ...ADAPTER, targetModules: ["q_proj", "o_proj", "down_proj"] };
      const tuner = await createFineTuner({
        ...{ runtime: ortNode, base, adapter, batch: BATCH, seed: 3 },
      });
      for (const [i, a] of tuner.weights.entries()) tuner.weights[i] = a + ((i * 7) % 11) / 200;
      const { loss, gradients } = await tuner.gradients(someTokens(model, 2));
      found.push({ loss, gradients: gradients.slice() });
      await tuner.close();
    }
    const [packed, plain] = found;
    assert(packed && plain);
    const off = relativeDistance(packed.gradients, plain.gradients);
    if (bitLinear === "offline") {
      const matrices = stored.report.tensors.filter(({ kind }) => kind === "ternary");
      assert(matrices.length === 14);
      assert(matrices.every(({ relativeError }) => relativeError === 0));
      assert(Math.abs(packed.loss - plain.loss) < 1e-5 && off < 1e-4, `off by ${off}`);
    } else assert(Math.abs(packed.loss - plain.loss) < 5e-3 && off < 0.1, `off by ${off}`);
    await assert.rejects(tunerOf(model, "ternary", { ...ADAPTER, useDora: true }), /BitNet/);
  });
}

test("a restored state takes the same steps, to the bit", async () => {
  const adapter = { ...ADAPTER, loraDropout: 0.1, useDora: true };
  const [first, second] = [
    await tunerOf(LLAMA, "q4", adapter),
    await tunerOf(LLAMA, "q4", adapter),
  ];
  const batches = [1, 2, 3, 4].map((seed) => someTokens(LLAMA, seed));
  const step = (tuner: FineTuner, at: number): Promise<TuneStep> =>
    tuner.step([masked(batches[at] ?? someTokens(LLAMA, 0))], { learningRate: 0.01 });
  await step(first, 0);
  await step(first, 1);
  const state = first.state();
  const rest = [await step(first, 2), await step(first, 3)];
  second.restore(state);
  assert.equal(second.stepsTaken, 2);
  assert.deepEqual([await step(second, 2), await step(second, 3)], rest);
  assert.deepEqual(second.state(), first.state());
  const short = { ...state, weights: state.weights.slice(1) };
  assert.throws(() => second.restore(short), /another model/);
  await Promise.all([first.close(), second.close()]);
});

test("a step that diverges changes nothing", async () => {
  const tuner = await tunerOf(LLAMA, "f32");
  tuner.weights[0] = Number.NaN;
  const before = tuner.state();
  const batch = someTokens(LLAMA, 1);
  await assert.rejects(tuner.step(batch, { learningRate: 0.01 }), { name: "DivergedError" });
  assert.deepEqual(tuner.state(), before);
  await tuner.close();
});

test("a token that is not in the vocabulary is refused", async () => {
  const tuner = await tunerOf(LLAMA, "q4");
  const batch = someTokens(LLAMA, 1);
  batch.tokens[3] = LLAMA.vocabSize;
  await assert.rejects(tuner.step(batch, { learningRate: 0.01 }), /not in the vocabulary/);
  await tuner.close();
});
