import assert from "node:assert/strict";
import { test } from "node:test";
import * as ir from "../ir/ops.ts";
import { graphOf } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import { type ModelConfig, parameterPlaces, parameterSpecs } from "../model/config.ts";
import { decoderLogits, weightFeeds, weightTensors } from "../model/decoder.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { reference } from "../runtime/reference.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type PackedTensor, readVectors, relativeDistance, unpack } from "../vectors.ts";
import type { OptimizerOptions } from "./options.ts";
import { ADAMW_RECIPE } from "./options.ts";
import { createTrainer } from "./trainer.ts";

type ModelVector = {
  readonly name: string;
  readonly config: ModelConfig;
  readonly tokens: PackedTensor;
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
  readonly weights: PackedTensor;
  readonly logits: PackedTensor;
  readonly loss: number;
  readonly gradients: PackedTensor;
};

type TrainingVector = {
  readonly name: string;
  readonly config: ModelConfig;
  readonly recipe: OptimizerOptions;
  readonly tokens: PackedTensor;
  readonly learningRateScales: readonly number[];
  readonly weights: PackedTensor;
  readonly losses: readonly number[];
  readonly gradientNorms: readonly number[];
  readonly finalWeights: PackedTensor;
};

const RUNTIMES: Readonly<Record<string, Runtime>> = { ortNode, reference };
const { models } = readVectors<{ models: readonly ModelVector[] }>("models");
const { trainings } = readVectors<{ trainings: readonly TrainingVector[] }>("trainings");

function floats(packed: PackedTensor): Float32Array {
  const data = unpack(packed);
  assert(data instanceof Float32Array);
  return data;
}

function ints(packed: PackedTensor): Int32Array {
  const data = unpack(packed);
  assert(data instanceof Int32Array);
  return data;
}

/** [B, T + 1] → the first T of each row. */
function withoutLast(tokens: Int32Array, row: number): Int32Array {
  return tokens.filter((_, index) => index % row !== row - 1);
}

for (const vector of models) {
  test(`${vector.name}: parameters have Hugging Face's names and shapes, in order`, () => {
    assert.deepEqual(parameterSpecs(vector.config), vector.parameters);
  });

  for (const [name, runtime] of Object.entries(RUNTIMES)) {
    test(`${vector.name}, ${name}: logits are those of transformers`, async () => {
      const [batch = 0, row = 0] = vector.tokens.shape;
      const ids = ir.input("ids", [batch, row - 1], "i32");
      const weights = weightTensors(vector.config);
      const logits = decoderLogits(decoderOf(vector.config), weights, ids);
      const executable = await runtime.compile(graphOf({ logits }));
      const feeds = weightFeeds(vector.config, floats(vector.weights));
      const tokens = withoutLast(ints(vector.tokens), row);
      const outputs = await executable.run({ ...feeds, ids: tokens });
      const distance = relativeDistance(outputs["logits"] ?? [], unpack(vector.logits));
      assert(distance < 1e-5, `off by ${distance}`);
    });

    test(`${vector.name}, ${name}: loss and every gradient are PyTorch's`, async () => {
      const [sequences = 0, row = 0] = vector.tokens.shape;
      const batch = { sequences, contextLength: row - 1 };
      const recipe = { runtime, model: vector.config, optimizer: ADAMW_RECIPE, batch };
      const trainer = await createTrainer(recipe);
      trainer.weights.set(floats(vector.weights));
      const { loss, gradients } = await trainer.gradients(ints(vector.tokens));
      assert(Math.abs(loss - vector.loss) < 1e-6 * vector.loss);
      const expected = floats(vector.gradients);
      for (const { name: parameter, offset, size } of parameterPlaces(vector.config)) {
        const part = (flat: Float32Array): Float32Array => flat.subarray(offset, offset + size);
        const distance = relativeDistance(part(gradients), part(expected));
        assert(distance < 1e-5, `${parameter} is off by ${distance}`);
      }
      await trainer.dispose();
    });
  }
}

for (const vector of trainings) {
  test(`${vector.name}: ten steps lose what PyTorch loses`, async () => {
    const [, sequences = 0, row = 0] = vector.tokens.shape;
    const { config: model, recipe: optimizer } = vector;
    const batch = { sequences, contextLength: row - 1 };
    const trainer = await createTrainer({ runtime: ortNode, model, optimizer, batch });
    trainer.weights.set(floats(vector.weights));
    const tokens = ints(vector.tokens);
    for (const [index, expected] of vector.losses.entries()) {
      const learningRateScale = vector.learningRateScales[index] ?? 1;
      const size = sequences * row;
      const own = tokens.subarray(index * size, (index + 1) * size);
      const { loss, gradientNorm } = await trainer.step(own, { learningRateScale });
      assert(
        Math.abs(loss - expected) < 1e-4 * expected,
        `step ${index}: ${loss}, not ${expected}`,
      );
      const norm = vector.gradientNorms[index] ?? 0;
      assert(Math.abs(gradientNorm - norm) < 1e-3 * norm, `step ${index}: norm ${gradientNorm}`);
    }
    const distance = relativeDistance(trainer.weights, unpack(vector.finalWeights));
    assert(distance < 1e-4, `weights are off by ${distance}`);
    await trainer.dispose();
  });
}
