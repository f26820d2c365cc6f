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
import { ADAMW_RECIPE } from "./options.ts";
import { createTrainer } from "./trainer.ts";
import type { TuneBatch } from "./tuner.ts";

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
