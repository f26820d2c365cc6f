import assert from "node:assert/strict";
import { test } from "node:test";
import type { LlamaConfig } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { ortNode } from "../runtime/ort-node.ts";
import type { StartThread } from "../runtime/runtime.ts";
import { relativeDistance } from "../vectors.ts";
import { ADAMW_RECIPE } from "./options.ts";
import { createTrainer, type Trainer } from "./trainer.ts";

const model: LlamaConfig = {
  vocabSize: 11,
  hiddenSize: 16,
  intermediateSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  maxPositionEmbeddings: 8,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
const batch = { sequences: 5, contextLength: 8 };
const common = {
  runtime: ortNode,
  model,
  batch,
  optimizer: ADAMW_RECIPE,
  sharing: "sequences",
} as const;

function tokensOf(step: number): Int32Array {
  const length = batch.sequences * (batch.contextLength + 1);
  return Int32Array.from({ length }, (_, i) => (step * 5 + i * i) % model.vocabSize);
}

async function trained(trainer: Trainer): Promise<{ losses: number[]; weights: Float32Array }> {
  trainer.weights.set(initialWeights(model, 1));
  const losses: number[] = [];
  for (let step = 0; step < 4; step++) losses.push((await trainer.step(tokensOf(step))).loss);
  // What is written to the live weights between steps reaches every thread.
  for (let i = 0; i < trainer.weights.length; i++) trainer.weights[i]! *= 0.9;
  for (let step = 0; step < 4; step++) losses.push((await trainer.step(tokensOf(step))).loss);
  const weights = trainer.weights.slice();
  await trainer.dispose();
  return { losses, weights };
}

test("threads with unequal shares train as one thread does, and twice to the same bits", async () => {
  const one = await trained(await createTrainer(common));
  for (const threads of [2, 3]) {
    const many = await trained(await createTrainer({ ...common, threads }));
    const again = await trained(await createTrainer({ ...common, threads }));
    assert.deepEqual(again, many);
    for (const [step, loss] of many.losses.entries()) {
      assert(Math.abs(loss - one.losses[step]!) < 1e-5, `step ${step}: ${loss}`);
    }
    assert(relativeDistance(many.weights, one.weights) < 1e-3);
  }
});

test("threads, micro-batches and recomputation go together", async () => {
  const whole = { ...common, batch: { sequences: 4, contextLength: 8 } };
  const row = batch.contextLength + 1;
  const tokens = tokensOf(1).subarray(0, 4 * row);
  const losses: number[] = [];
  const slopes: Float32Array[] = [];
  const cuts = { threads: 2, microBatch: 2, recomputation: "blocks" } as const;
  for (const options of [whole, { ...whole, ...cuts }]) {
    const trainer = await createTrainer(options);
    trainer.weights.set(initialWeights(model, 1).map((x, i) => x + 0.1 * Math.sin(i)));
    const { loss, gradients } = await trainer.gradients(tokens);
    losses.push(loss);
    slopes.push(gradients.slice());
    await trainer.dispose();
  }
  assert(Math.abs(losses[0]! - losses[1]!) < 1e-6);
  assert(relativeDistance(slopes[1]!, slopes[0]!) < 1e-5);
});

test("more threads than sequences share each operation instead", async () => {
  const lone = { ...common, batch: { sequences: 1, contextLength: 8 } };
  const trainer = await createTrainer({ ...lone, threads: 2 });
  const { loss } = await trainer.gradients(tokensOf(0).subarray(0, 9));
  assert(Math.abs(loss - Math.log(model.vocabSize)) < 1e-6);
  await trainer.dispose();
});

test("a thread that fails fails the trainer", async () => {
  const startThread: StartThread = (_module, _data, onFailure) => {
    setImmediate(() => onFailure(new Error("out of memory")));
    return { hold: () => undefined, release: () => undefined, ended: async () => undefined };
  };
  const broken = createTrainer({ ...common, runtime: { ...ortNode, startThread }, threads: 2 });
  await assert.rejects(broken, /out of memory/);
});
