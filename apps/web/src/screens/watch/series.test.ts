// What is drawn of long runs: means that lose no round, and nothing thinner than it needs to be.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { binsOf, meanIn } from "./series.ts";

test("bins cover every round once, in order, and short runs round by round", () => {
  fc.assert(
    fc.property(fc.nat(20_000), (count) => {
      const bins = binsOf(count);
      assert.equal(bins.length, Math.min(count, 300));
      let next = 0;
      for (const [from, to] of bins) {
        assert.equal(from, next);
        assert.ok(to > from);
        next = to;
      }
      assert.equal(next, count);
    }),
  );
});

test("a bin's mean is of what it has; of nothing it is nothing", () => {
  const bins = [
    [0, 3],
    [3, 5],
  ] as const;
  assert.deepEqual(meanIn([1, null, 5, null, null], bins), [3, null]);
});
