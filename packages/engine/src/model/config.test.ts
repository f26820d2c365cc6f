import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import {
  checkConfig,
  type Gpt2Config,
  type LlamaConfig,
  parameterCount,
  parameterPlaces,
} from "./config.ts";
import { weightInputs } from "./decoder.ts";
import { initialWeights } from "./initial-weights.ts";

const demo: LlamaConfig = {
  vocabSize: 256,
  hiddenSize: 128,
  intermediateSize: 320,
  numHiddenLayers: 4,
  numAttentionHeads: 4,
  numKeyValueHeads: 4,
  maxPositionEmbeddings: 128,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};

const gpt2: Gpt2Config = {
  modelType: "gpt2",
  vocabSize: 50_257,
  nPositions: 1_024,
  nEmbd: 768,
  nLayer: 12,
  nHead: 12,
  nInner: 3_072,
  layerNormEpsilon: 1e-5,
  tieWordEmbeddings: true,
};

test("GPT-2 has the 124 439 808 weights of the published one", () => {
  assert.equal(parameterCount(gpt2), 124_439_808);
  assert.throws(() => checkConfig({ ...gpt2, nHead: 7 }), InputError);
  assert.throws(() => checkConfig({ ...gpt2, layerNormEpsilon: 0 }), InputError);
});

test("initial weights of a GPT-2: gains 1, biases and writers 0", () => {
  const small = { ...gpt2, vocabSize: 19, nEmbd: 24, nInner: 32, nLayer: 1, nPositions: 8 };
  const weights = initialWeights(small, 7);
  for (const { name, offset, size } of parameterPlaces(small)) {
    const own = weights.subarray(offset, offset + size);
    if (/bias|c_proj/.test(name)) assert(own.every((w) => w === 0));
    else if (/ln_/.test(name)) assert(own.every((w) => w === 1));
    else assert(own.some((w) => w !== 0));
  }
});

test("the demo model has 820 352 weights, tied 32 768 fewer", () => {
  assert.equal(parameterCount(demo), 820_352);
  assert.equal(parameterCount({ ...demo, tieWordEmbeddings: true }), 820_352 - 32_768);
});

test("places and graph inputs tile the flat weights without a gap", () => {
  for (const config of [demo, { ...demo, numKeyValueHeads: 2, tieWordEmbeddings: true }, gpt2]) {
    for (const list of [parameterPlaces(config), weightInputs(config)]) {
      let end = 0;
      for (const { offset, size, shape } of list) {
        assert.equal(offset, end);
        assert.equal(
          size,
          shape.reduce((product, dim) => product * dim, 1),
        );
        end += size;
      }
      assert.equal(end, parameterCount(config));
    }
  }
});

for (const [name, change] of Object.entries({
  "heads that do not divide the width": { numAttentionHeads: 3 },
  "an odd head size": { hiddenSize: 4, numAttentionHeads: 4 },
  "key heads that do not divide the heads": { numKeyValueHeads: 3 },
  "no layers": { numHiddenLayers: 0 },
  "half a layer": { numHiddenLayers: 1.5 },
  "a negative epsilon": { rmsNormEps: -1 },
  "NaN for theta": { ropeTheta: Number.NaN },
})) {
  test(`refused: ${name}`, () => {
    assert.throws(() => checkConfig({ ...demo, ...change }), InputError);
  });
}

test("initial weights: gains 1, writers and head 0, embedding wide, the rest narrow", () => {
  const weights = initialWeights(demo, 7);
  for (const { name, shape, offset, size } of parameterPlaces(demo)) {
    const own = weights.subarray(offset, offset + size);
    if (shape.length === 1) assert(own.every((w) => w === 1));
    else if (/o_proj|down_proj|lm_head/.test(name)) assert(own.every((w) => w === 0));
    else {
      const mean = own.reduce((sum, w) => sum + w, 0) / size;
      const deviation = Math.sqrt(own.reduce((sum, w) => sum + (w - mean) ** 2, 0) / size);
      const std = name.includes("embed") ? 0.3 : 0.02;
      assert(Math.abs(mean / std) < 0.025, `${name}'s mean is ${mean}`);
      assert(Math.abs(deviation / std - 1) < 0.025, `${name}'s deviation is ${deviation}`);
    }
  }
});

test("initial weights depend on the seed, and a layer's matrices differ", () => {
  const [one, same, other] = [
    initialWeights(demo, 1),
    initialWeights(demo, 1),
    initialWeights(demo, 2),
  ];
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, other);
  const [q, k] = parameterPlaces(demo).filter(({ name }) => /layers.0.self_attn.[qk]_/.test(name));
  assert(q && k);
  const head = (offset: number): Float32Array => one.slice(offset, offset + 8);
  assert.notDeepEqual(head(q.offset), head(k.offset));
});

const KNOWN_BITS = [1019921203, 1036788122, 1041111552, 1024203162, 1057557990, 1054648678];

/** Bits that every peer must derive: a change of this is a change of the protocol. */
test("initial weights: known bits", () => {
  const tiny = { ...demo, vocabSize: 3, hiddenSize: 2, numAttentionHeads: 1, numKeyValueHeads: 1 };
  const bits = new Uint32Array(initialWeights(tiny, 20261120).buffer, 0, 6);
  assert.deepEqual([...bits], KNOWN_BITS);
});
