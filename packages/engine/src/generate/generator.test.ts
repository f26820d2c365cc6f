import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "@manyhands/base/random";
import { contextLimit, type ModelConfig, parameterCount } from "../model/config.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { type PackedTensor, readVectors, relativeDistance, unpack } from "../vectors.ts";
import { createGenerator, Decoding, DecodingGraphs } from "./generator.ts";

type ModelVector = {
  readonly name: string;
  readonly config: ModelConfig;
  readonly tokens: PackedTensor;
  readonly weights: PackedTensor;
  readonly logits: PackedTensor;
};

const { models } = readVectors<{ models: readonly ModelVector[] }>("models");

function weightsOf(vector: ModelVector): Float32Array {
  return Float32Array.from(unpack(vector.weights));
}

for (const vector of models) {
  test(`${vector.name}: token by token, the logits are those of transformers`, async () => {
    const graphs = await DecodingGraphs.compile({ runtime: ortNode, model: vector.config });
    const decoding = new Decoding(graphs, weightsOf(vector));
    const [, time = 0, vocabSize = 0] = vector.logits.shape;
    const expected = unpack(vector.logits).subarray(0, time * vocabSize);
    const ids = Array.from(unpack(vector.tokens)).slice(0, time);
    const prompt = 3;
    const rows = [await decoding.read(ids.slice(0, prompt))];
    for (const id of ids.slice(prompt)) rows.push(await decoding.next(id));
    for (const [index, row] of rows.entries()) {
      const start = (prompt - 1 + index) * vocabSize;
      const distance = relativeDistance(row, expected.subarray(start, start + vocabSize));
      assert(distance < 1e-5, `place ${index} is off by ${distance}`);
    }
    await graphs.dispose();
  });
}

async function collect(ids: AsyncIterable<number>): Promise<readonly number[]> {
  const all: number[] = [];
  for await (const id of ids) all.push(id);
  return all;
}

const [vector] = models;
assert(vector);

test("one seed gives one text, beyond the window too, and another seed another", async () => {
  const generator = await createGenerator({ runtime: ortNode, model: vector.config });
  const length = 3 * contextLimit(vector.config);
  const options = { weights: weightsOf(vector), prompt: [1, 2], tokenCountMax: length };
  const one = await collect(generator.generate({ ...options, seed: 1 }));
  assert.equal(one.length, length);
  assert(one.every((id) => id >= 0 && id < vector.config.vocabSize));
  assert.deepEqual(await collect(generator.generate({ ...options, seed: 1 })), one);
  assert.notDeepEqual(await collect(generator.generate({ ...options, seed: 2 })), one);
  await generator.dispose();
});

test("a full window goes on as if its newer half had been the prompt", async () => {
  const graphs = await DecodingGraphs.compile({ runtime: ortNode, model: vector.config });
  const decoding = new Decoding(graphs, weightsOf(vector));
  const fresh = new Decoding(graphs, weightsOf(vector));
  const size = contextLimit(vector.config);
  const random = new Random(5);
  const ids = Array.from({ length: size + 1 }, () => random.below(vector.config.vocabSize));
  await decoding.read(ids.slice(0, size));
  const slid = await decoding.next(ids[size] ?? 0);
  const half = await fresh.read(ids.slice(size / 2 + 1));
  assert.deepEqual(slid, half);
  await graphs.dispose();
});

test("generation ends after a stop id", async () => {
  const generator = await createGenerator({ runtime: ortNode, model: vector.config });
  const weights = new Float32Array(parameterCount(vector.config));
  const options = { weights, prompt: [1], tokenCountMax: 9, temperature: 0, stopIds: [0], seed: 0 };
  assert.deepEqual(await collect(generator.generate(options)), [0]);
  await generator.dispose();
});
