// The mean: exact definition, independence of arrival order, partial coverage, groups (spec §2.11).
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Fragment } from "./fragments.ts";
import { type Contribution, WEIGHT_MAX, WeightedMean, weightedMean } from "./mean.ts";

const FRAGMENTS: readonly Fragment[] = [
  { name: "a", shape: [4], dtype: "f32" },
  { name: "b", shape: [3], dtype: "f32" },
];
const SIZE = 7;
const values = fc.float32Array({
  min: -8,
  max: 8,
  noNaN: true,
  minLength: SIZE,
  maxLength: SIZE,
});
const contributions = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 4, unit: "binary" }),
    weight: fc.integer({ min: 1, max: WEIGHT_MAX }),
    covered: fc.constantFrom([0], [1], [0, 1]),
    values,
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 8 },
);

/** Element by element, from the definition. */
function dumbMean(list: readonly Contribution[]): Float32Array {
  const sorted = [...list].sort((a, b) => (a.id < b.id ? -1 : 1));
  return Float32Array.from({ length: SIZE }, (_, i) => {
    const mine = sorted.filter(({ covered }) => covered.includes(i < 4 ? 0 : 1));
    const total = mine.reduce((sum, { weight }) => sum + weight, 0);
    const sum = mine.reduce((acc, c) => acc + c.weight * (c.values[i] ?? NaN), 0);
    return total === 0 ? 0 : Math.fround(sum / total);
  });
}

test("the mean agrees with its definition and does not depend on arrival order", () => {
  fc.assert(
    fc.property(contributions, fc.infiniteStream(fc.nat()), (list, keys) => {
      const mean = weightedMean(FRAGMENTS, list);
      const keyed = list.map((contribution) => ({ contribution, key: keys.next().value ?? 0 }));
      const shuffled = keyed.sort((a, b) => a.key - b.key).map(({ contribution }) => contribution);
      assert.deepEqual(weightedMean(FRAGMENTS, shuffled), mean);
      assert.deepEqual(mean, dumbMean(list));
    }),
  );
});

test("the mean stays within the contributions, and equal contributions are their own mean", () => {
  fc.assert(
    fc.property(contributions, values, (list, same) => {
      const everywhere = list.map((c) => ({ ...c, covered: [0, 1] }));
      for (const [i, v] of weightedMean(FRAGMENTS, everywhere).entries()) {
        const column = everywhere.map((c) => c.values[i] ?? NaN);
        assert.ok(v >= Math.min(...column) && v <= Math.max(...column), `element ${i}: ${v}`);
      }
      const equal = everywhere.map((c) => ({ ...c, values: same }));
      // + 0 turns −0, which a sum from 0 cannot give, into 0.
      assert.deepEqual(
        weightedMean(FRAGMENTS, equal),
        same.map((v) => v + 0),
      );
    }),
  );
});

test("a group's sum counts as its members would", () => {
  const member = (id: string, weight: number, at: number) => ({
    id,
    weight,
    covered: [0, 1],
    values: Float32Array.from({ length: SIZE }, (_, i) => (i + at) / 8),
  });
  const members = [member("a", 3, 1), member("b", 5, -2), member("c", 7, 4)];
  const group = new WeightedMean(FRAGMENTS);
  const sums = Float64Array.from({ length: SIZE }, (_, i) =>
    members.slice(0, 2).reduce((sum, m) => sum + m.weight * (m.values[i] ?? NaN), 0),
  );
  group.addGroup({ id: "a", weight: 8, covered: [0, 1], sums });
  group.add(members[2] as Contribution);
  const out = new Float32Array(SIZE);
  group.meanInto(out);
  assert.deepEqual(out, weightedMean(FRAGMENTS, members));
  assert.equal(group.weightTotal, 15);
});

test("order, weights, ids and coverage are checked", () => {
  const good: Contribution = { id: "m", weight: 1, covered: [0], values: new Float32Array(SIZE) };
  const add = (...list: readonly Contribution[]) => {
    const mean = new WeightedMean(FRAGMENTS);
    for (const contribution of list) mean.add(contribution);
    return mean;
  };
  assert.deepEqual(add(good, { ...good, id: "n", weight: WEIGHT_MAX }).covered(), [0]);
  assert.throws(() => add(good, good), /ascending/);
  assert.throws(() => add(good, { ...good, id: "l" }), /ascending/);
  assert.throws(() => weightedMean(FRAGMENTS, [good, good]), /one contribution per id/);
  for (const weight of [0, -1, 0.5, NaN, WEIGHT_MAX + 1]) {
    assert.throws(() => add({ ...good, weight }), /weight/, String(weight));
  }
  assert.throws(() => add({ ...good, covered: [] }), /covers/);
  assert.throws(() => add({ ...good, covered: [2] }), /covered/);
  assert.throws(() => add({ ...good, values: new Float32Array(SIZE - 1) }), /elements/);
});
