import assert from "node:assert/strict";
import { test } from "node:test";
import * as ir from "../ir/ops.ts";
import { graphOf } from "../ir/tensor.ts";
import type { LlamaConfig } from "../model/config.ts";
import { ortNode } from "../runtime/ort-node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { ADAMW_RECIPE, MUON_RECIPE } from "../train/options.ts";
import { createTrainer } from "../train/trainer.ts";
import { Arena } from "./arena.ts";
import { graphMemory } from "./graph-memory.ts";
import { MemoryLimitError, planTraining, type TrainingPlan } from "./plan-training.ts";
import { totalBytes } from "./predict-memory.ts";

const model: LlamaConfig = {
  vocabSize: 256,
  hiddenSize: 256,
  intermediateSize: 688,
  numHiddenLayers: 4,
  numAttentionHeads: 4,
  numKeyValueHeads: 4,
  maxPositionEmbeddings: 128,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
const batch = { sequences: 8, contextLength: 128 };
const request = { model, batch, optimizer: ADAMW_RECIPE };

function planFor(memoryBytesMax?: number): TrainingPlan {
  return planTraining({ ...request, memoryBytesMax });
}

test("an arena gives freed memory out again, and joins what lies side by side", () => {
  const arena = new Arena();
  const [a, b] = [arena.allocate(1000), arena.allocate(3000)];
  arena.free(a);
  arena.free(b);
  arena.free(arena.allocate(4000));
  assert.equal(arena.touchedBytes, 1024 + 3000);
  arena.allocate(2 ** 21);
  assert.equal(arena.touchedBytes, 1024 + 3000 + 2 ** 21);
});

test("a graph's memory: what is live at once, without inputs, outputs, views and reused values", () => {
  const x = ir.input("x", [100, 10]);
  const [a, b] = [ir.exp(x), ir.sqrt(x)];
  const sum = ir.reshape(ir.add(a, b), [10, 100]);
  // a and b live at once; their sum takes the place of one; its transposed copy is one more.
  const y = ir.neg(ir.mul(ir.transpose(sum, [1, 0]), x));
  assert.equal(graphMemory(graphOf({ y })).liveBytes, 2 * 4000);
  assert.equal(graphMemory(graphOf({ a })).liveBytes, 0);
});

test("without a limit nobody knows whether it fits, and the whole batch is taken at once", () => {
  const plan = planFor();
  assert.equal(plan.verdict, "unknown");
  assert.equal(plan.microBatch, 8);
  assert.equal(plan.recomputation, "none");
  assert.equal(plan.totalBytes, totalBytes(plan.bytes));
  assert.match(plan.sentence, /the whole batch at once.* not known/);
});

test("the tighter the limit, the smaller the micro-batches, then recomputation, then no", () => {
  const whole = planFor().totalBytes;
  assert.equal(planFor(whole * 1.2).recomputation, "none");
  const seen = [1.2, 1.05, 0.9, 0.8, 0.7, 0.6, 0.5].map((share) => planFor(whole * share));
  const order = seen.map(({ recomputation, microBatch, verdict }) => {
    const size = recomputation === "blocks" ? microBatch / 100 : microBatch;
    return verdict === "tooLarge" ? -1 : size;
  });
  assert.deepEqual(
    order,
    order.toSorted((a, b) => b - a),
  );
  const choices = new Set(seen.map(({ recomputation }) => recomputation));
  assert.deepEqual([...choices], ["none", "blocks"]);
  for (const plan of seen) {
    if (plan.verdict === "fits") assert(plan.totalBytes * 1.15 <= whole * 1.2);
  }
  assert.equal(planFor(1e8).verdict, "tooLarge");
  assert.match(planFor(1e8).sentence, /does not fit: even at its smallest/);
});

test("every part grows with what it is for", () => {
  const { bytes } = planFor();
  const wide = planTraining({ ...request, model: { ...model, hiddenSize: 512 } }).bytes;
  const long = planTraining({ ...request, batch: { sequences: 16, contextLength: 128 } }).bytes;
  const muon = planTraining({ ...request, optimizer: MUON_RECIPE }).bytes;
  assert(wide.weights > bytes.weights && wide.gradients > bytes.gradients);
  assert.equal(long.weights, bytes.weights);
  assert(long.activations > 1.8 * bytes.activations && long.activations < 2.2 * bytes.activations);
  assert(muon.optimizer > bytes.optimizer);
  const deep = planTraining({ ...request, recomputation: "blocks" }).bytes;
  assert(deep.activations < 0.6 * bytes.activations);
});

test("an evaluator and the caller's own bytes count", () => {
  const own = planTraining({ ...request, otherBytes: 5e6 });
  assert.equal(own.totalBytes, planFor().totalBytes + 5e6);
  assert.match(own.sentence, /, other 5 MB\)/);
  const { bytes } = planTraining({ ...request, evaluates: true });
  assert(bytes.other > bytes.weights && bytes.other < bytes.weights + bytes.activations / 2);
});

test("a trainer chooses what fits, says so, and obeys what was fixed", async () => {
  const limit = planFor().totalBytes;
  const trainer = await createTrainer({ runtime: ortNode, ...request, memoryBytesMax: limit });
  assert.equal(trainer.plan?.verdict, "fits");
  assert((trainer.plan?.microBatch ?? 8) < 8);
  assert.match(trainer.plan?.sentence ?? "", /of 8 sequences/);
  await trainer.dispose();
  const fixed = planTraining({ ...request, memoryBytesMax: limit, microBatch: 8 });
  assert.equal(fixed.microBatch, 8);
  assert.equal(fixed.recomputation, "blocks");
});

test("a run that cannot fit ends before anything is compiled", async () => {
  const runtime: Runtime = { compile: () => assert.fail("nothing may be compiled") };
  const small = createTrainer({ ...request, runtime, memoryBytesMax: 150e6 });
  await assert.rejects(small, (caught) => {
    assert(caught instanceof MemoryLimitError);
    assert.equal(caught.plan.verdict, "tooLarge");
    assert.match(caught.message, /even at its smallest it needs about \d+ MB of the 150 MB/);
    assert.match(caught.message, /weights 14 MB, gradients 14 MB, optimiser 27 MB, activations/);
    assert.match(caught.hint ?? "", /allow more memory/);
    return true;
  });
});
