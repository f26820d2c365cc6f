import assert from "node:assert/strict";
import { test } from "node:test";
import { problemText } from "@manyhands/base/decode";
import type { Pay } from "./pay.ts";
import { checkRunRules, frozenRunDecoder, runIdOf } from "./run-config.ts";
import { TEST_PAY, testRun } from "./testing/fixtures.ts";

test("a run without pay keeps its bytes, and so its id; pay is part of it", () => {
  const { pay: _, ...without } = { ...testRun(), pay: undefined };
  assert.equal(runIdOf({ ...testRun(), pay: undefined }), runIdOf(without));
  assert.notEqual(runIdOf({ ...testRun(), pay: TEST_PAY }), runIdOf(without));
  const decoded = frozenRunDecoder(JSON.parse(JSON.stringify({ ...testRun(), pay: TEST_PAY })));
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.value.pay, TEST_PAY);
});

test("scores are part of the terms; terms without them keep their bytes", () => {
  const validators = ["a1", "a2"].map((byte, i) => ({ account: byte.repeat(20), stake: i + 1 }));
  const pay: Pay = { ...TEST_PAY, scores: { validators } };
  const decoded = frozenRunDecoder(JSON.parse(JSON.stringify({ ...testRun(), pay })));
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.value.pay, pay);
  const idOf = (terms: Pay): string => runIdOf({ ...testRun(), pay: terms });
  assert.equal(idOf({ ...TEST_PAY, scores: undefined }), idOf(TEST_PAY));
  assert.notEqual(idOf(pay), idOf(TEST_PAY));
  const reversed = { ...pay, scores: { validators: validators.toReversed() } };
  const checked = checkRunRules({ ...testRun(), pay: reversed });
  assert.ok(!checked.ok);
  assert.match(problemText(checked.error), /pay\.scores\.validators.*ascending/);
});

test("terms that contradict themselves are refused, each at its field", () => {
  const [first = "", second = ""] = TEST_PAY.attestors;
  const wrong: readonly (readonly [Partial<Pay>, RegExp])[] = [
    [{ shares: { ...TEST_PAY.shares, dataBps: 1_501 } }, /pay\.shares.*10000.*10001/],
    [{ dataAccount: null }, /pay\.dataAccount.*has a share/],
    [
      { shares: { trainingBps: 8_500, dataBps: 1_500, storageBps: 0 } },
      /pay\.storageAccount.*share is 0/,
    ],
    [{ attestors: [second, first] }, /pay\.attestors.*ascending/],
    [{ attestors: [first, first] }, /pay\.attestors.*once/],
    [{ threshold: 3 }, /pay\.threshold.*at most 2/],
  ];
  assert.ok(checkRunRules({ ...testRun(), pay: TEST_PAY }).ok);
  for (const [changes, expected] of wrong) {
    const checked = checkRunRules({ ...testRun(), pay: { ...TEST_PAY, ...changes } });
    assert.ok(!checked.ok);
    assert.match(problemText(checked.error), expected);
  }
});
