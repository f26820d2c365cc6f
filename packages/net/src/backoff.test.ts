// Waits between tries: bounded by the doubling and by the cap.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fullJitterMs } from "./backoff.ts";

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("the longest waits double up to the cap", () => {
  const almost = 1 - 2 ** -40;
  const waits = [0, 1, 2, 3, 4, 5, 6].map((attempt) =>
    fullJitterMs({ baseMs: 500, capMs: 15_000 }, attempt, almost),
  );
  assert.deepEqual(waits, [499, 999, 1_999, 3_999, 7_999, 14_999, 14_999]);
});

test("a wait is a whole number from 0 to the cap, however many failures", () => {
  fc.assert(
    fc.property(unit, fc.nat(), (draw, attempt) => {
      const wait = fullJitterMs({ baseMs: 500, capMs: 15_000 }, attempt, draw);
      assert.ok(Number.isInteger(wait) && wait >= 0 && wait < 15_000);
    }),
  );
});
