// The plan's order of things: how far it is off, benchmarks measure.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterConfig } from "../adapters/config.ts";
import type { ModelConfig } from "../model/config.ts";
import { BASE_KINDS } from "../quantize/kinds.ts";
import { planFineTuning } from "./fine-tune-plan.ts";

/** SmolLM2 360M's shape, with 4 of its 32 layers. */
const MODEL: ModelConfig = {
  vocabSize: 49_152,
  hiddenSize: 960,
  intermediateSize: 2_560,
  numHiddenLayers: 4,
  numAttentionHeads: 15,
  numKeyValueHeads: 5,
  maxPositionEmbeddings: 2_048,
  rmsNormEps: 1e-5,
  ropeTheta: 100_000,
  tieWordEmbeddings: true,
};
const BATCH = { sequences: 1, contextLength: 512 };
const ADAPTER: AdapterConfig = { r: 8, loraAlpha: 16, targetModules: "all-linear" };

test("the plan's parts add up, and smaller kinds take less", () => {
  const plans = BASE_KINDS.map((kind) =>
    planFineTuning({ model: MODEL, kind, adapter: ADAPTER, batch: BATCH }),
  );
  for (const { totalBytes, trainables, ...parts } of plans) {
    const sum = Object.values(parts).reduce((total, bytes) => total + bytes, 0);
    assert.equal(totalBytes, sum);
    assert.equal(trainables, plans[0]?.trainables);
  }
  const bases = plans.map(({ baseBytes }) => baseBytes);
  assert.deepEqual(
    bases,
    bases.toSorted((a, b) => b - a),
  );
  const full = planFineTuning({ model: MODEL, kind: "f32", batch: BATCH });
  assert(full.trainables > 80e6 && full.totalBytes > 16 * full.trainables);
});
