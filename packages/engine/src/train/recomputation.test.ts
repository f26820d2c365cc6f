import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { Random } from "@manyhands/base/random";
import type { Gpt2Config, LlamaConfig, ModelConfig } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { relativeDistance } from "../vectors.ts";
import { ADAMW_RECIPE, MUON_RECIPE } from "./options.ts";
import { createTrainer, type Trainer, type TrainerOptions } from "./trainer.ts";

const llama: LlamaConfig = {
  vocabSize: 61,
  hiddenSize: 64,
  intermediateSize: 96,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 64,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
const gpt2: Gpt2Config = {
  modelType: "gpt2",
  vocabSize: 1_030,
  nPositions: 80,
  nEmbd: 48,
  nLayer: 2,
  nHead: 4,
  nInner: 192,
  layerNormEpsilon: 1e-5,
  tieWordEmbeddings: false,
};
const MODELS: Readonly<Record<string, ModelConfig>> = {
  Llama: llama,
  "Llama, tied": { ...llama, tieWordEmbeddings: true },
  "Qwen 2": { ...llama, modelType: "qwen2" },
  "Qwen 3": { ...llama, modelType: "qwen3", headDim: 24 },
  "Gemma 3, two kinds of blocks": {
    ...llama,
    modelType: "gemma3_text",
    numHiddenLayers: 3,
    tieWordEmbeddings: true,
    slidingWindow: 20,
    layerTypes: ["sliding_attention", "full_attention", "sliding_attention"],
    ropeLocalBaseFreq: 1_000,
    queryPreAttnScalar: 24,
  },
  BitNet: { ...llama, modelType: "bitnet", bitLinear: "online" },
  "GPT-2": gpt2,
  "GPT-2, tied": { ...gpt2, tieWordEmbeddings: true },
};
const batch = { sequences: 4, contextLength: 64 };
const random = new Random(5);
const tokens = Int32Array.from({ length: 4 * 65 }, () => Math.floor(random.unit() * 61));

/** Nothing is zero, so that every gradient is a number of its own. */
function weightsOf(model: ModelConfig): Float32Array {
  const own = new Random(11);
  return initialWeights(model, 1).map((weight) => weight + (own.unit() - 0.5) * 0.2);
}

type Choice = Partial<TrainerOptions> & { readonly model: ModelConfig };

async function trainerOf(choice: Choice): Promise<Trainer> {
  const trainer = await createTrainer({
    runtime: ortNode,
    batch,
    optimizer: ADAMW_RECIPE,
    ...choice,
  });
  trainer.weights.set(weightsOf(choice.model));
  return trainer;
}

async function gradientsOf(choice: Choice): Promise<{ loss: number; gradients: Float32Array }> {
  const trainer = await trainerOf(choice);
  // Twice: what the first run left behind must not be in the second.
  await trainer.gradients(tokens);
  const { loss, gradients } = await trainer.gradients(tokens);
  await trainer.dispose();
  return { loss, gradients: gradients.slice() };
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
}

for (const [name, model] of Object.entries(MODELS)) {
  test(`${name}: recomputation gives the whole graph's bits, micro-batches its sum`, async () => {
    const batchwise = await gradientsOf({ model });
    for (const microBatch of [4, 1]) {
      const whole = microBatch === 4 ? batchwise : await gradientsOf({ model, microBatch });
      assert(Math.abs(whole.loss - batchwise.loss) < 1e-6 * batchwise.loss);
      const distance = relativeDistance(whole.gradients, batchwise.gradients);
      assert(distance < 1e-6, `micro-batches of ${microBatch} are off by ${distance}`);
      const blocks = await gradientsOf({ model, microBatch, recomputation: "blocks" });
      assert.equal(blocks.loss, whole.loss);
      assert(sameBits(blocks.gradients, whole.gradients), `micro-batches of ${microBatch}`);
    }
  });
}

test("ten steps with recomputation leave the same weights and state, bit for bit", async () => {
  const choice = { model: llama, optimizer: MUON_RECIPE };
  const whole = await trainerOf(choice);
  const blocks = await trainerOf({ ...choice, recomputation: "blocks" });
  for (let step = 0; step < 10; step++) {
    const own = tokens.map((token) => (token + step) % 61);
    assert.deepEqual(await blocks.step(own), await whole.step(own));
  }
  assert(sameBits(blocks.weights, whole.weights));
  assert.deepEqual(blocks.optimizerState(), whole.optimizerState());
  await Promise.all([whole.dispose(), blocks.dispose()]);
});

for (const microBatch of [0, 3, 1.5, 8]) {
  test(`refused: micro-batches of ${microBatch} in a batch of 4`, async () => {
    await assert.rejects(trainerOf({ model: llama, microBatch }), InputError);
  });
}
