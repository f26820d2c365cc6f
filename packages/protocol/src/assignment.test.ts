// Assignments: adaptive H and the evaluation's windows, at the corners.
import assert from "node:assert/strict";
import test from "node:test";
import { assignmentsOf, innerStepsFor, validationWindowCount } from "./assignment.ts";
import type { RunState } from "./state.ts";
import { replay } from "./step.ts";
import { hashOf, runCreated, testRun, workerIdFor, workerJoined } from "./testing/fixtures.ts";

test("inner steps follow the median's speed, between 1 and H", () => {
  const cases: readonly (readonly [number | null, number | null, number])[] = [
    [null, 1_000, 20],
    [1_000, null, 20],
    [1_000, 1_000, 20],
    [1_500, 1_000, 20],
    [1_501, 1_000, 19],
    [3_000, 1_000, 10],
    [30_001, 1_000, 1],
    [3_600_000_000, 1, 1],
    [1, 3_600_000_000, 20],
  ];
  for (const [mine, median, expected] of cases) {
    assert.equal(innerStepsFor(20, mine, median), expected, `mine ${mine}, median ${median}`);
  }
  assert.equal(innerStepsFor(10_000, 3_600_000_000, 3_600_000_000), 10_000);
});

test("validation windows predict every held-out token but the first", () => {
  const dataset = (byteLength: number) => ({
    files: [{ name: "f", byteLength, root: hashOf("f") }],
    validationBps: 1_000,
  });
  assert.equal(validationWindowCount(dataset(1_000), 8), 13);
  assert.equal(validationWindowCount(dataset(970), 8), 12);
  assert.equal(validationWindowCount(dataset(10), 8), 0);
  assert.equal(validationWindowCount(dataset(11), 8), 1);
});

function stateWith(names: readonly string[], evaluateWindows: number): RunState {
  const run = testRun({ rounds: { evaluateEvery: 1, evaluateWindows } });
  const joined = names.map((name) => workerJoined(name, 0));
  const state = replay(null, [runCreated(run), ...joined]);
  assert.ok(state.ok);
  return state.value;
}

test("another seed deals in another order, the same seed in the same", () => {
  const names = ["a", "b", "c", "d", "e", "f"];
  const state = stateWith(names, 0);
  const firsts = (seed: string, from: RunState): number[] => {
    const { assignments } = assignmentsOf(from, hashOf(seed));
    return names.map((name) => assignments.get(workerIdFor(name))?.firstSample ?? -1);
  };
  assert.deepEqual(firsts("1", state), firsts("1", state));
  assert.notDeepEqual(firsts("1", state), firsts("2", state));
  const joinedInReverse = stateWith(names.toReversed(), 0);
  assert.deepEqual(firsts("1", joinedInReverse), firsts("1", state), "joining order is nothing");
});

test("every window is dealt to one worker; all of them if that many are wanted", () => {
  const state = stateWith(["a", "b", "c"], 4_096);
  const { assignments } = assignmentsOf(state, hashOf("seed"));
  const windows = [...assignments.values()].flatMap((one) => one.evaluate?.windows ?? []);
  const expected = Array.from({ length: 125 }, (_, index) => index);
  assert.deepEqual(
    windows.toSorted((a, b) => a - b),
    expected,
  );
});
