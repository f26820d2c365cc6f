import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cosSin, root } from "./exact-angles.ts";
import { ropeTables } from "./layers.ts";

test("cosines and sines are the language's to 1e-13, far from zero too", () => {
  fc.assert(
    fc.property(fc.double({ min: -1e5, max: 1e5, noNaN: true }), (angle) => {
      const { cos, sin } = cosSin(angle);
      assert(Math.abs(cos - Math.cos(angle)) < 1e-13, `cos ${angle}`);
      assert(Math.abs(sin - Math.sin(angle)) < 1e-13, `sin ${angle}`);
    }),
  );
  assert.deepEqual(cosSin(0), { cos: 1, sin: 0 });
});

test("a root raised to its degree is the number", () => {
  for (const value of [1, 2, 500, 10_000, 500_000, 1e6]) {
    for (const degree of [1, 2, 3, 16, 32, 64, 128]) {
      const expected = value ** (1 / degree);
      assert(Math.abs(root(value, degree) - expected) < 1e-13 * expected, `${value}, ${degree}`);
    }
  }
});

test("a position's angles do not depend on where the table begins", () => {
  const whole = ropeTables(8, { theta: 500 }, { first: 0, time: 20 });
  const tail = ropeTables(8, { theta: 500 }, { first: 13, time: 7 });
  assert.deepEqual(tail.cos, whole.cos.subarray(13 * 4));
  assert.deepEqual(tail.sin, whole.sin.subarray(13 * 4));
});
