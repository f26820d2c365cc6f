import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "@manyhands/base/random";
import { candidates, sampleToken } from "./sampler.ts";

const logits = Float32Array.from([0, Math.log(2), Math.log(5), Math.log(2)]);

test("top-k keeps the k most likely, ties by id", () => {
  assert.deepEqual(
    candidates(logits, { topK: 2 }).map(({ id }) => id),
    [2, 1],
  );
});

test("top-p keeps the shortest list that reaches p, and rescales it", () => {
  const kept = candidates(logits, { topP: 0.6 });
  assert.deepEqual(
    kept.map(({ id }) => id),
    [2, 1],
  );
  const sum = kept.reduce((total, { probability }) => total + probability, 0);
  assert(Math.abs(sum - 1) < 1e-12);
  assert.equal(candidates(logits, { topP: 0.1 }).length, 1);
});

test("temperature sharpens", () => {
  const [hot] = candidates(logits, { temperature: 2 });
  const [cold] = candidates(logits, { temperature: 0.5 });
  assert(Math.abs((cold?.probability ?? 0) - 25 / 34) < 1e-6);
  assert((hot?.probability ?? 0) < 0.5);
});

test("draws follow the probabilities", () => {
  const random = new Random(11);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 10_000; i++) {
    const id = sampleToken(logits, {}, random);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  [1000, 2000, 5000, 2000].forEach((expected, id) => {
    assert(Math.abs((counts[id] ?? 0) - expected) < 200, `${counts}`);
  });
});

test("temperature 0 takes the most likely", () => {
  assert.equal(sampleToken(logits, { temperature: 0 }, new Random(0)), 2);
});
