// The compute port on ONNX Runtime: a tiny model trains, stops, diverges and keeps its state.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { utf8 } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { parameterSpecs } from "@manyhands/engine/model/config";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import { planTraining } from "@manyhands/engine/plan/plan-training";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { testRun } from "@manyhands/protocol/testing/fixtures";
import { optimizerOptions } from "../compute/run-facts.ts";
import { MEMORY_LIMIT } from "../core/types.ts";
import { failureOf } from "../host/job-runner.ts";
import type { TrainRequest } from "../host/ports.ts";
import { memoryLimit, ownMemoryLimit } from "./memory-limit.ts";
import { OrtCompute } from "./ort-compute.ts";

const FILE = utf8("the quick brown fox jumps over the lazy dog. ".repeat(60));

function tinyRun(optimizer: "muon" | "adamw" = "muon"): FrozenRun {
  const run = testRun();
  const specs = parameterSpecs(run.model);
  const fragments = specs.map(({ name, shape }) => ({
    name,
    shape: [...shape],
    dtype: "f32" as const,
  }));
  return { ...run, fragments, recipe: { ...run.recipe, optimizer } };
}

const all: OrtCompute[] = [];
after(async () => {
  for (const compute of all) await compute.dispose();
});

async function prepared(run = tinyRun()) {
  let micros = 0;
  // A clock that ticks a millisecond whenever it is read.
  const compute = new OrtCompute({ threads: 1, nowMicros: () => (micros += 1_000) });
  all.push(compute);
  await compute.prepare(run, [FILE]);
  return { compute, base: initialWeights(run.model, run.seed) };
}

function request(base: Float32Array, changes: Partial<TrainRequest> = {}): TrainRequest {
  return {
    base,
    firstSample: 0,
    innerSteps: 12,
    scale: () => 1,
    signal: new AbortController().signal,
    onStep: () => undefined,
    ...changes,
  };
}

for (const optimizer of ["muon", "adamw"] as const) {
  test(`${optimizer}: the loss falls, and base − pseudo-gradient predicts better than base`, async () => {
    const run = tinyRun(optimizer);
    const { compute, base } = await prepared(run);
    const kept = base.slice();
    const losses: number[] = [];
    const report = await compute.train(
      request(base, { innerSteps: 30, onStep: ({ loss }) => void losses.push(loss) }),
    );
    assert.deepEqual(base, kept, "the base is read only");
    assert.equal(report.innerSteps, 30);
    assert.equal(report.innerStepMicros, 1_000);
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    assert.ok(Math.abs(report.meanLoss - mean) < 1e-9);
    const local = base.map((value, i) => value - (report.pseudoGradient[i] as number));
    const windows = [0, 1, 2, 3, 4];
    const before = await compute.evaluate(base, windows);
    const afterwards = await compute.evaluate(local, windows);
    assert.ok(afterwards.loss < before.loss, `${afterwards.loss} < ${before.loss}`);
    assert.equal(before.tokens, 5 * run.recipe.contextLength);
  });
}

test("the same range from the same base is the same update; another range is another", async () => {
  const first = await prepared();
  const one = await first.compute.train(request(first.base));
  const second = await prepared();
  const same = await second.compute.train(request(second.base));
  assert.deepEqual(same.pseudoGradient, one.pseudoGradient);
  const third = await prepared();
  const other = await third.compute.train(request(third.base, { firstSample: 24 }));
  assert.notDeepEqual(other.pseudoGradient, one.pseudoGradient);
});

test("the optimiser's state goes from round to round, can be moved, and can be reset", async () => {
  const here = await prepared();
  await here.compute.train(request(here.base));
  const carried = here.compute.optimizer();
  const next = await here.compute.train(request(here.base, { firstSample: 24 }));
  const there = await prepared();
  assert.ok(carried && there.compute.loadOptimizer(carried));
  const moved = await there.compute.train(request(there.base, { firstSample: 24 }));
  assert.deepEqual(moved.pseudoGradient, next.pseudoGradient);
  there.compute.resetOptimizer();
  const reset = await there.compute.train(request(there.base, { firstSample: 24 }));
  assert.notDeepEqual(reset.pseudoGradient, next.pseudoGradient);
});

test("a state of another size is refused without harm", async () => {
  const { compute } = await prepared();
  const moments = { moment1: new Float32Array(3), moment2: new Float32Array(1) };
  assert.equal(compute.loadOptimizer({ step: 1, ...moments }), false);
});

test("a learning rate of zero changes nothing", async () => {
  const { compute, base } = await prepared();
  const { pseudoGradient } = await compute.train(request(base, { scale: () => 0 }));
  assert.ok(pseudoGradient.every((value) => value === 0));
});

test("asked to stop, training ends after the current inner step; before the first, at once", async () => {
  const { compute, base } = await prepared();
  const stop = new AbortController();
  const onStep = ({ innerStep }: { innerStep: number }) => {
    if (innerStep === 3) stop.abort();
  };
  const report = await compute.train(request(base, { signal: stop.signal, onStep }));
  assert.equal(report.innerSteps, 3);
  const none = await compute.train(request(base, { signal: stop.signal }));
  assert.equal(none.innerSteps, 0);
});

test("between inner steps the event loop has its turn, so heartbeats go out", async () => {
  const { compute, base } = await prepared();
  let turns = 0;
  let counting = true;
  const count = () => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  await compute.train(request(base));
  counting = false;
  assert.ok(turns >= 11, `${turns} turns during 12 inner steps`);
});

test("weights that are not numbers fail the training, and are no bug of ours", async () => {
  const { compute, base } = await prepared();
  const broken = base.map(() => Number.NaN);
  await assert.rejects(compute.train(request(broken)), (error) => failureOf(error) !== null);
});

/** A batch whose activations count. */
function wideRun() {
  const run = tinyRun("adamw");
  const recipe = { ...run.recipe, batchSequences: 64, contextLength: 32 };
  return { ...run, recipe };
}

function computeWithin(memoryBytesMax: number) {
  const notices: string[] = [];
  const onNotice = (sentence: string) => void notices.push(sentence);
  const compute = new OrtCompute({ threads: 1, nowMicros: () => 0, memoryBytesMax, onNotice });
  all.push(compute);
  return { compute, notices };
}

test("with memory to spare the whole batch is taken at once, and nothing is said", async () => {
  const { compute, notices } = computeWithin(8e9);
  await compute.prepare(wideRun(), [FILE]);
  assert.deepEqual(notices, []);
});

test("a run that does not fit is trained in smaller pieces, and says so", async () => {
  const run = wideRun();
  const whole = planTraining({
    model: run.model,
    optimizer: optimizerOptions(run.recipe),
    batch: { sequences: 64, contextLength: 32 },
    evaluates: true,
  });
  const { compute, notices } = computeWithin(1.1 * whole.totalBytes);
  await compute.prepare(run, [FILE]);
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? "", /^Memory: training needs about \d+ MB .*\d+ of 64 sequences/);
  assert.match(notices[0] ?? "", /weights 1 MB, .*runtime \d+ MB/);
  const base = initialWeights(run.model, run.seed);
  const { meanLoss } = await compute.train(request(base, { innerSteps: 2 }));
  assert.ok(meanLoss > 0);
  const free = computeWithin(8e9).compute;
  await free.prepare(run, [FILE]);
  const [small, large] = [await compute.evaluate(base, [0, 1]), await free.evaluate(base, [0, 1])];
  assert.equal(small.tokens, large.tokens);
  assert.ok(Math.abs(small.loss - large.loss) < 1e-6 * large.loss);
});

test("a run that cannot fit fails before anything is compiled, with what it needs", async () => {
  const { compute } = computeWithin(50e6);
  await assert.rejects(compute.prepare(tinyRun(), [FILE]), (error) => {
    const failure = failureOf(error);
    assert.equal(failure?.code, MEMORY_LIMIT);
    assert.equal(failure?.transient, false);
    assert.match(failure?.sentence ?? "", /does not fit: .* of the 50 MB .*; allow more memory/);
    return true;
  });
});

test("by default a worker may take most of what is free, shared among the machine's workers", () => {
  const free = process.availableMemory();
  const limit = memoryLimit(1);
  assert.ok(limit > 0 && limit < Math.max(free, process.availableMemory()));
  assert.ok(memoryLimit(4) < limit / 2);
  assert.ok(ownMemoryLimit() > memoryLimit(2));
});

test("a run with other fragments than this engine's is refused with the first that differs", async () => {
  const run = tinyRun();
  const [first, ...rest] = run.fragments;
  const renamed = { ...run, fragments: [{ ...first!, name: "model.other" }, ...rest] };
  await assert.rejects(prepared(renamed), (error) => {
    assert.ok(error instanceof InputError);
    return /fragment 0: expected model\.embed_tokens\.weight .* found model\.other/.test(
      error.message,
    );
  });
});
