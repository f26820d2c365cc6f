import assert from "node:assert/strict";
import { test } from "node:test";
import { compareText } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import * as ir from "../ir/ops.ts";
import { graphOf } from "../ir/tensor.ts";
import { isBlockMatrix, type LlamaConfig, parameterPlaces } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { integerPower } from "./adamw.ts";
import { createEvaluator, windowCount } from "./evaluate.ts";
import { MUON_QUINTIC, type NewtonSchulz, orthogonalized, POLAR_EXPRESS } from "./newton-schulz.ts";
import { ADAMW_RECIPE, MUON_RECIPE } from "./options.ts";
import { createTrainer, DivergedError } from "./trainer.ts";

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
const batch = { sequences: 2, contextLength: 8 };
const common = { runtime: ortNode, model, batch };

/** A text that can be learned: it counts. */
function counting(length: number, first = 0): Int32Array {
  return Int32Array.from({ length }, (_, i) => (first + i) % model.vocabSize);
}

function tokensOf(step: number): Int32Array {
  return counting(batch.sequences * (batch.contextLength + 1), step * 5);
}

for (const [name, optimizer] of Object.entries({ MUON_RECIPE, ADAMW_RECIPE })) {
  test(`${name}: a text that counts is learned`, async () => {
    const trainer = await createTrainer({ ...common, optimizer });
    trainer.weights.set(initialWeights(model, 1));
    const losses: number[] = [];
    for (let step = 0; step < 60; step++) {
      losses.push((await trainer.step(tokensOf(step), { learningRateScale: 2 })).loss);
    }
    // Before the first step every block and the head are silent: the loss is that of a fair die.
    assert(Math.abs((losses[0] ?? 0) - Math.log(model.vocabSize)) < 1e-6);
    assert((losses.at(-1) ?? 9) < 0.7 * (losses[0] ?? 0), `${losses.at(-1)}`);
    await trainer.dispose();
  });

  test(`${name}: weights and optimiser state, carried over, go on bit for bit`, async () => {
    const [one, two] = [
      await createTrainer({ ...common, optimizer }),
      await createTrainer({ ...common, optimizer }),
    ];
    one.weights.set(initialWeights(model, 1));
    for (let step = 0; step < 3; step++) await one.step(tokensOf(step));
    two.weights.set(one.weights);
    two.loadOptimizerState(one.optimizerState());
    for (let step = 3; step < 6; step++) {
      const options = { learningRateScale: 0.5, muonMomentum: 0.9 };
      const results = [
        await one.step(tokensOf(step), options),
        await two.step(tokensOf(step), options),
      ];
      assert.deepEqual(results[0], results[1]);
    }
    assert.deepEqual(one.weights, two.weights);
    assert.deepEqual(one.optimizerState(), two.optimizerState());
    await Promise.all([one.dispose(), two.dispose()]);
  });
}

test("half of the matrices a step: each moves in its turn, and the text is still learned", async () => {
  const muon = { ...MUON_RECIPE.muon!, every: 2 };
  const trainer = await createTrainer({ ...common, optimizer: { ...MUON_RECIPE, muon } });
  trainer.weights.set(initialWeights(model, 1));
  const matrices = parameterPlaces(model).filter(isBlockMatrix);
  // The first step moves no block, because the head of zeros lets no gradient through.
  await trainer.step(tokensOf(0));
  const moved = [1, 2].map(() => new Set<string>());
  for (const turn of moved) {
    const before = trainer.weights.slice();
    await trainer.step(tokensOf(1));
    for (const { name, offset, size } of matrices) {
      const range = [offset, offset + size] as const;
      const same = before.slice(...range).every((x, i) => x === trainer.weights[offset + i]);
      if (!same) turn.add(name);
    }
  }
  // Each matrix in one of the two turns, and every one of them.
  const names = moved.flatMap((turn) => [...turn]);
  const sorted = (list: readonly string[]): string[] => list.toSorted(compareText);
  assert.deepEqual(sorted(names), sorted(matrices.map(({ name }) => name)));
  await trainer.dispose();
});

test("a state of another recipe is refused", async () => {
  const muon = await createTrainer({ ...common, optimizer: MUON_RECIPE });
  const adamw = await createTrainer({ ...common, optimizer: ADAMW_RECIPE });
  const load = (): void => adamw.loadOptimizerState(muon.optimizerState());
  assert.throws(load, /another model or recipe/);
  await Promise.all([muon.dispose(), adamw.dispose()]);
});

test("a step that is not finite throws and changes no weight and no state", async () => {
  const trainer = await createTrainer({ ...common, optimizer: MUON_RECIPE });
  trainer.weights.set(initialWeights(model, 1));
  trainer.weights[0] = Number.NaN;
  const [weights, state] = [trainer.weights.slice(), trainer.optimizerState()];
  await assert.rejects(trainer.step(tokensOf(0)), DivergedError);
  assert.deepEqual(trainer.weights, weights);
  assert.deepEqual(trainer.optimizerState(), state);
  await trainer.dispose();
});

test("a batch of another size is refused", async () => {
  const trainer = await createTrainer({ ...common, optimizer: ADAMW_RECIPE });
  await assert.rejects(trainer.step(new Int32Array(3)), /a batch has 2 × 9 tokens/);
  await trainer.dispose();
});

test("evaluation predicts every token but the first once, in windows of any batch", async () => {
  const weights = initialWeights(model, 1);
  const random = new Random(3);
  // The head is zero at first; a random one makes losses that depend on the tokens.
  for (let i = 0; i < weights.length; i++) weights[i] = (weights[i] ?? 0) + random.unit() * 0.3;
  const text = counting(30);
  const single = await createEvaluator({ ...common, batch: { sequences: 1, contextLength: 8 } });
  const triple = await createEvaluator({ ...common, batch: { sequences: 3, contextLength: 8 } });
  const whole = await single.evaluate(weights, text);
  assert.equal(windowCount(text.length, 8), 4);
  assert.equal(whole.tokens, 29);
  const batched = await triple.evaluate(weights, text);
  assert(Math.abs(batched.loss - whole.loss) < 1e-6);
  const parts = [
    await single.evaluate(weights, text.subarray(0, 9)),
    await single.evaluate(weights, text, [1, 2]),
    await single.evaluate(weights, text.subarray(24)),
  ];
  const sum = parts.reduce((total, { loss, tokens }) => total + loss * tokens, 0);
  assert(Math.abs(sum / 29 - whole.loss) < 1e-6);
  assert.equal(parts[1]?.tokens, 16);
  await assert.rejects(single.evaluate(weights, text, [4]), /windows are 0 … 3/);
  const running = single.evaluate(weights, text);
  await assert.rejects(single.evaluate(weights, text), /one evaluation at a time/);
  assert.deepEqual(await running, whole);
  assert.deepEqual(await single.evaluate(weights, text.subarray(0, 1)), { loss: NaN, tokens: 0 });
  await Promise.all([single.dispose(), triple.dispose()]);
});

/** ‖Y Yᵀ − I‖ / √small over the small side: 0 for an orthogonal Y, 1 for Y = 0. */
async function orthogonalityError(shape: readonly number[], method: NewtonSchulz): Promise<number> {
  const random = new Random(9);
  const [, rows = 1, columns = 1] = shape;
  const x = Float32Array.from({ length: rows * columns }, () => random.unit() - 0.5);
  const input = ir.input("x", shape);
  const executable = await ortNode.compile(graphOf({ y: orthogonalized(input, method) }));
  const { y = new Float32Array() } = await executable.run({ x });
  await executable.dispose();
  const small = Math.min(rows, columns);
  const wide = rows <= columns;
  const at = (i: number, k: number): number =>
    (wide ? y[i * columns + k] : y[k * columns + i]) ?? 0;
  let error = 0;
  for (let i = 0; i < small; i++) {
    for (let j = 0; j < small; j++) {
      let sum = i === j ? -1 : 0;
      for (let k = 0; k < Math.max(rows, columns); k++) sum += at(i, k) * at(j, k);
      error += sum * sum;
    }
  }
  return Math.sqrt(error / small);
}

test("orthogonalised matrices are nearly orthogonal, wide, tall or square", async () => {
  for (const [rows, columns] of [
    [8, 32],
    [32, 8],
    [16, 16],
  ]) {
    const shape = [1, rows ?? 1, columns ?? 1];
    assert((await orthogonalityError(shape, POLAR_EXPRESS)) < 0.25);
    assert((await orthogonalityError(shape, MUON_QUINTIC)) < 0.4);
  }
});

test("a gradient of zero is no update", async () => {
  const y = orthogonalized(ir.input("x", [2, 4, 4]), POLAR_EXPRESS);
  const executable = await ortNode.compile(graphOf({ y }));
  const result = await executable.run({ x: new Float32Array(32) });
  assert(result["y"]?.every((value) => value === 0));
  await executable.dispose();
});

test("integerPower is the product", () => {
  assert.equal(integerPower(0.5, 10), 1 / 1024);
  assert.equal(integerPower(3, 13), 1594323);
  assert.equal(integerPower(0.98, 0), 1);
});
