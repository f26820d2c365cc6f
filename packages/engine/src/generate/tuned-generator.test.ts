// Over a packed base with adapters beside it, a text is the one that the merged weights write.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "@manyhands/base/random";
import { type AdapterConfig, adapterCount, adapterPlaces } from "../adapters/config.ts";
import { initialAdapters } from "../adapters/initial-adapters.ts";
import { withAdapter } from "../convert/weight-source.ts";
import {
  contextLimit,
  type ModelConfig,
  parameterCount,
  parameterPlaces,
} from "../model/config.ts";
import { flatSource, quantizeBase } from "../quantize/base-model.ts";
import type { BaseKind } from "../quantize/kinds.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { createGenerator } from "./generator.ts";
import { TunedGenerator } from "./tuned-generator.ts";

const LLAMA: ModelConfig = {
  ...{ vocabSize: 96, hiddenSize: 64, intermediateSize: 96, numHiddenLayers: 2, rmsNormEps: 1e-5 },
  ...{ numAttentionHeads: 4, numKeyValueHeads: 2, maxPositionEmbeddings: 32, ropeTheta: 10_000 },
  tieWordEmbeddings: true,
};
const GPT2: ModelConfig = {
  ...{ modelType: "gpt2", vocabSize: 96, nPositions: 32, nEmbd: 64, nLayer: 2, nHead: 4 },
  ...{ nInner: 128, layerNormEpsilon: 1e-5, tieWordEmbeddings: true },
};
const PLAIN: AdapterConfig = { r: 4, loraAlpha: 8, targetModules: "all-linear" };
const SOME: AdapterConfig = { ...PLAIN, targetModules: ["q_proj", "up_proj"], useDora: true };

const CASES: readonly (readonly [string, ModelConfig, BaseKind, AdapterConfig])[] = [
  ["llama, f32", LLAMA, "f32", PLAIN],
  ["llama, q4, some modules with DoRA", LLAMA, "q4", SOME],
  ["llama, nf4", LLAMA, "nf4", PLAIN],
  ["gpt2, q8", GPT2, "q8", PLAIN],
  ["gpt2, ternary, DoRA", GPT2, "ternary", { ...PLAIN, useDora: true }],
];

function randomWeights(model: ModelConfig): Float32Array {
  const random = new Random(2, 0);
  return Float32Array.from({ length: parameterCount(model) }, () => 0.4 * (random.unit() - 0.5));
}

async function collect(ids: AsyncIterable<number>): Promise<readonly number[]> {
  const all: number[] = [];
  for await (const id of ids) all.push(id);
  return all;
}

for (const [name, model, kind, adapter] of CASES) {
  test(`${name}: the text of the merged weights, beyond the window too`, async () => {
    const base = await quantizeBase(flatSource(model, randomWeights(model)), kind);
    const adapters = initialAdapters(base, adapter, 5);
    const random = new Random(3, 0);
    const places = adapterPlaces(model, adapter).filter((place) => /lora_B/.test(place.name));
    for (const { offset, size } of places) {
      for (let i = 0; i < size; i++) adapters[offset + i] = random.unit() - 0.5;
    }
    assert.equal(adapters.length, adapterCount(model, adapter));
    const saved = { adapter, baseModel: null, revision: null, weights: adapters };
    const merged = await withAdapter(base, saved);
    const weights = new Float32Array(parameterCount(model));
    for (const place of parameterPlaces(model)) {
      await merged.readParameter(place, weights.subarray(place.offset, place.offset + place.size));
    }
    const options = { prompt: [1, 2, 3], tokenCountMax: 2 * contextLimit(model), seed: 4 };
    const whole = await createGenerator({ runtime: ortNode, model });
    const expected = await collect(whole.generate({ ...options, weights }));
    const unadapted = new Float32Array(parameterCount(model));
    for (const place of parameterPlaces(model)) {
      await base.readParameter(place, unadapted.subarray(place.offset, place.offset + place.size));
    }
    assert.notDeepEqual(
      await collect(whole.generate({ ...options, weights: unadapted })),
      expected,
    );
    await whole.dispose();
    const generator = await TunedGenerator.create({ runtime: ortNode, base, adapter });
    assert.deepEqual(await collect(generator.generate({ ...options, adapters })), expected);
    await generator.dispose();
  });
}
