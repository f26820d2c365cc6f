// The schedule at its corners, in exact positions.
import assert from "node:assert/strict";
import test from "node:test";
import { innerStepScale, learningRateScale, schedulePosition } from "./schedule.ts";

const schedule = { warmup: 0.1, cooldown: 0.5, floor: 0.2 };

test("the learning rate rises, stays and falls to the floor", () => {
  const cases: readonly (readonly [number, number])[] = [
    [0, 0],
    [50_000, 0.5],
    [100_000, 1],
    [500_000, 1],
    [750_000, 0.6],
    [1_000_000, 0.2],
  ];
  for (const [position, scale] of cases) {
    const found = learningRateScale(schedule, position);
    assert.ok(Math.abs(found - scale) < 1e-12, `at ${position}: ${found}, not ${scale}`);
  }
});

test("without warm-up and cool-down the rate stays at its peak", () => {
  const flat = { warmup: 0, cooldown: 0, floor: 0 };
  assert.deepEqual(
    [0, 1, 500_000, 1_000_000].map((position) => learningRateScale(flat, position)),
    [1, 1, 1, 1],
  );
});

test("where rise and fall overlap the smaller holds", () => {
  const steep = { warmup: 0.5, cooldown: 1, floor: 0 };
  assert.equal(learningRateScale(steep, 250_000), 0.5);
  assert.equal(learningRateScale(steep, 750_000), 0.25);
});

test("inner steps take the middles of their pieces of the round's span", () => {
  const rise = { warmup: 0.5, cooldown: 0, floor: 0 };
  const span = { position: 0, positionAfter: 100_000 };
  const scales = [0, 1, 2, 3].map((step) => innerStepScale(rise, span, step, 4));
  assert.deepEqual(scales, [0.025, 0.075, 0.125, 0.175]);
});

test("the position is the larger share of the two budgets, rounded down, and ends at 10⁶", () => {
  const spent = { tokens: 333, trainingMs: 30_000 };
  assert.equal(schedulePosition({ tokens: 1_000, minutes: null }, spent), 333_000);
  assert.equal(schedulePosition({ tokens: null, minutes: 1 }, spent), 500_000);
  assert.equal(schedulePosition({ tokens: 1_000, minutes: 1 }, spent), 500_000);
  assert.equal(schedulePosition({ tokens: 332, minutes: 1 }, spent), 1_000_000);
  assert.equal(
    schedulePosition({ tokens: 3, minutes: null }, { tokens: 2, trainingMs: 0 }),
    666_666,
  );
});

test("huge budgets stay exact", () => {
  const tokens = 2 ** 50;
  const budget = { tokens, minutes: null };
  assert.equal(schedulePosition(budget, { tokens: tokens - 1, trainingMs: 0 }), 999_999);
  assert.equal(schedulePosition(budget, { tokens, trainingMs: 0 }), 1_000_000);
});
