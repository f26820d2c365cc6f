// Seeds that once failed, each with the fault that it found. sim.test.ts runs others.
import assert from "node:assert/strict";
import test from "node:test";
import { simulate } from "./simulate.ts";

const FOUND: readonly (readonly [number, string])[] = [
  [17, "an accepted update whose receipt was lost was given up as late, and counted twice"],
  [19, "an aggregate stored just before a crash was removed as a stale upload"],
  [61, "a checkpoint that came in after a new welcome was taken for a divergence"],
  [
    280,
    "a worker's own join, late on a connection that it had left, was taken for another process",
  ],
];

for (const [seed, fault] of FOUND) {
  test(`seed ${seed}: ${fault}`, async () => {
    const { failure } = await simulate({ seed });
    assert.equal(failure, null, `see it again: npm run sim -- --seed ${seed} --trace`);
  });
}
