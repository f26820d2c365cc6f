// Learning rates of every step: their ends, their sums, and that they are what the formulas say.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rateShare, SCHEDULES, type Schedule } from "./schedule.ts";

const rates = (schedule: Schedule, steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => rateShare(schedule, step, steps));

test("every rate of every schedule lies in (0, 1], warm-up rises, and nothing rises after it", () => {
  const kind = fc.constantFrom(...SCHEDULES);
  const steps = fc.integer({ min: 1, max: 300 });
  fc.assert(
    fc.property(kind, steps, fc.nat(300), fc.nat(300), (kind, steps, warmup, cooldown) => {
      const warmupSteps = Math.min(warmup, steps - 1);
      const cooldownSteps = Math.min(cooldown, steps - 1);
      const all = rates({ kind, warmupSteps, cooldownSteps }, steps);
      assert.ok(all.every((rate) => rate > 0 && rate <= 1));
      const rises = (i: number): boolean => (all[i] ?? 0) > (all[i - 1] ?? 0);
      for (let i = 1; i < warmupSteps; i++) assert.ok(rises(i));
      for (let i = warmupSteps + 1; i < steps; i++) assert.ok(!rises(i));
    }),
  );
});

test("the shapes are those of their names", () => {
  const round = (all: number[]): number[] => all.map((rate) => Number(rate.toFixed(3)));
  const flat = { warmupSteps: 0, cooldownSteps: 0 };
  assert.deepEqual(round(rates({ kind: "constant", ...flat }, 3)), [1, 1, 1]);
  assert.deepEqual(round(rates({ kind: "linear", ...flat }, 4)), [0.875, 0.625, 0.375, 0.125]);
  assert.deepEqual(round(rates({ kind: "cosine", ...flat }, 4)), [0.962, 0.691, 0.309, 0.038]);
  const wsd = { kind: "wsd", warmupSteps: 1, cooldownSteps: 2 } as const;
  assert.deepEqual(round(rates(wsd, 5)), [0.5, 1, 1, 0.75, 0.25]);
});
