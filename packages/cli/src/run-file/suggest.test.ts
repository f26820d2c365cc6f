import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearest } from "./suggest.ts";

test("edits between two words", () => {
  const table: readonly (readonly [string, string, number])[] = [
    ["", "", 0],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["budgte", "budget", 1],
    ["seed", "seed", 0],
  ];
  for (const [a, b, edits] of table) assert.equal(editDistance(a, b), edits, `${a} → ${b}`);
});

test("a near name is suggested, a far one is not", () => {
  const names = ["innerSteps", "learningRate", "seed"];
  assert.equal(nearest("inerSteps", names), "innerSteps");
  assert.equal(nearest("learningrate", names), "learningRate");
  assert.equal(nearest("sed", names), "seed");
  assert.equal(nearest("zebra", names), undefined);
});
