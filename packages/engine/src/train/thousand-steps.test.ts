// A thousand steps take no more memory than the first few: no array, no handle, no native buffer is
// left behind.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LlamaConfig } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { collectGarbage } from "../testing/resident-bytes.ts";
import { MUON_RECIPE } from "./options.ts";
import { createTrainer, type TrainerOptions } from "./trainer.ts";

const model: LlamaConfig = {
  vocabSize: 64,
  hiddenSize: 32,
  intermediateSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 16,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
const batch = { sequences: 2, contextLength: 16 };
const tokens = Int32Array.from({ length: 2 * 17 }, (_, i) => (i * 7) % 64);

const WARM_UP_STEPS = 200;
const STEPS = 1_000;
/** A step's gradients alone are 0.1 MB: a thousand would be 100 MB. V8 grows its own heap. */
const RESIDENT_GROWTH_MAX = 32e6;
const ARRAYS_GROWTH_MAX = 1e5;
const OBJECTS_GROWTH_MAX = 2e6;

const CHOICES: Readonly<Record<string, Partial<TrainerOptions>>> = {
  "the whole batch": {},
  "micro-batches with recomputation": { microBatch: 1, recomputation: "blocks" },
};

type Footprint = {
  readonly arrays: number;
  readonly objects: number;
  readonly handles: number;
  readonly resident: number;
};

async function footprint(): Promise<Footprint> {
  await collectGarbage();
  const { arrayBuffers, heapUsed, rss } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  return { arrays: arrayBuffers, objects: heapUsed, handles, resident: rss };
}

for (const [name, choice] of Object.entries(CHOICES)) {
  test(`${name}: a thousand steps do not grow memory`, async () => {
    const trainer = await createTrainer({
      runtime: ortNode,
      model,
      batch,
      optimizer: MUON_RECIPE,
      ...choice,
    });
    trainer.weights.set(initialWeights(model, 1));
    for (let step = 0; step < WARM_UP_STEPS; step++) await trainer.step(tokens);
    const before = await footprint();
    for (let step = 0; step < STEPS; step++) await trainer.step(tokens);
    const after = await footprint();
    const arrays = after.arrays - before.arrays;
    assert(arrays <= ARRAYS_GROWTH_MAX, `arrays grew by ${arrays} bytes`);
    const objects = after.objects - before.objects;
    assert(objects <= OBJECTS_GROWTH_MAX, `objects grew by ${objects} bytes`);
    assert.equal(after.handles, before.handles);
    const resident = after.resident - before.resident;
    assert(resident <= RESIDENT_GROWTH_MAX, `the process grew by ${resident} bytes`);
    await trainer.dispose();
  });
}
