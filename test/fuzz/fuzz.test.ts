// The fuzzer finds what it should and repeats itself from a seed; every target is worth its minute.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz, reportProblem } from "./fuzz.ts";
import { mutateBytes } from "./mutate.ts";
import { TARGETS, type Target } from "./targets.ts";

const fragile: Target = {
  name: "fragile",
  seeds: [new Uint8Array([1, 2, 3, 4])],
  mutate: mutateBytes,
  accepts: (input) => {
    if (input.length > 4 && input[0] === 1) throw new Error("too long");
    return input[0] === 1;
  },
};

test("a throw is found, and found again from its seed", () => {
  const first = fuzz(fragile, 7, (executions) => executions < 10_000);
  assert.match(reportProblem(first) ?? "", /too long/);
  assert.deepEqual(fuzz(fragile, 7, () => true).failure?.input, first.failure?.input);
});

test("a run that accepts nothing, refuses nothing or refuses its own seed is a failure", () => {
  const always = (answer: boolean) => ({ ...fragile, accepts: () => answer });
  const few = (executions: number) => executions < 100;
  assert.match(reportProblem(fuzz(always(true), 1, few)) ?? "", /refused nothing/);
  assert.match(reportProblem(fuzz(always(false), 1, few)) ?? "", /valid input was refused/);
  const strict = { ...fragile, accepts: (input: Uint8Array) => input.join() === "1,2,3,4" };
  assert.match(reportProblem(fuzz(strict, 1, few)) ?? "", /accepted only the valid inputs/);
});

for (const target of TARGETS) {
  test(`${target.name}: 1000 executions, some accepted, some refused, none throws`, () => {
    const report = fuzz(target, 20_261_121, (executions) => executions < 1000);
    assert.equal(reportProblem(report), undefined);
  });
}
