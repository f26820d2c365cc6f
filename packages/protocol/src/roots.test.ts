// Roots against the bytes that the specification names, and their independence of order.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import fc from "fast-check";
import { auditCommitmentOf, creditRoot, updateLeaf, updatesRoot } from "./roots.ts";
import { commitSigningBytes, joinSigningBytes } from "./signing.ts";
import type { RunState } from "./state.ts";
import { step } from "./step.ts";
import { hashOf, honestUpdate, joinOf, runCreated, testRun } from "./testing/fixtures.ts";

const sha = (...parts: readonly Uint8Array[]): Buffer =>
  createHash("sha256").update(Buffer.concat(parts)).digest();
const domain = (text: string): Buffer => sha(Buffer.from(text, "utf8"));
const u64 = (value: number): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
};
const bytes = (hex: string): Buffer => Buffer.from(hex, "hex");

function firstState(): RunState {
  const created = step(null, runCreated(testRun()), { now: 0 });
  assert.ok(created.ok);
  return created.value.state;
}

const runId = hashOf("run");
const ada = hashOf("ada");
const update = honestUpdate(firstState(), ada, 7, 3);
const EMPTY = sha(domain("manyhands/merkle-empty/v1"));

test("an update's leaf is its nine fields of fixed width", () => {
  const expected = sha(
    domain("manyhands/update/v1"),
    bytes(runId),
    u64(7),
    bytes(ada),
    bytes(update.baseRoot),
    bytes(update.updateRoot),
    u64(100),
    u64(48),
    u64(3),
    u64(1),
  );
  assert.equal(updateLeaf(runId, ada, update), expected.toString("hex"));
});

test("no updates and no credit have their own roots", () => {
  const none = sha(domain("manyhands/updates/v1"), u64(5), u64(0), EMPTY);
  assert.equal(updatesRoot(5, []), none.toString("hex"));
  assert.equal(creditRoot([]), sha(domain("manyhands/credits/v1"), u64(0), EMPTY).toString("hex"));
});

test("two workers' credit is a node over their leaves, in the order of their ids", () => {
  const [low, high] = [hashOf("a"), hashOf("b")].toSorted((a, b) => (a < b ? -1 : 1));
  assert.ok(low && high);
  const leaf = (id: string, credit: number): Buffer =>
    sha(domain("manyhands/credit/v1"), bytes(id), u64(credit));
  const node = sha(domain("manyhands/merkle-node/v1"), leaf(low, 1), leaf(high, 2));
  const expected = sha(domain("manyhands/credits/v1"), u64(2), node).toString("hex");
  const entries = [
    { workerId: high, credit: 2 },
    { workerId: low, credit: 1 },
  ];
  assert.equal(creditRoot(entries), expected);
});

test("updatesRoot does not depend on the order of arrival", () => {
  const commitments = ["a", "b", "c"].flatMap((name) =>
    [3, 4].map((round) => {
      const one = { ...update, round };
      return { workerId: hashOf(name), update: one, leaf: updateLeaf(runId, hashOf(name), one) };
    }),
  );
  const expected = updatesRoot(4, commitments);
  fc.assert(
    fc.property(fc.shuffledSubarray(commitments, { minLength: commitments.length }), (shuffled) => {
      assert.equal(updatesRoot(4, shuffled), expected);
    }),
  );
  assert.notEqual(updatesRoot(5, commitments), expected);
});

test("the audit commitment is the hash of the seed under its domain", () => {
  const expected = sha(domain("manyhands/audit-seed/v1"), bytes(ada)).toString("hex");
  assert.equal(auditCommitmentOf(ada), expected);
});

test("what is signed names the purpose, the run and the whole claim", () => {
  const commit = Buffer.from(commitSigningBytes(runId, update)).toString("utf8");
  assert.ok(
    commit.startsWith(`manyhands/commit/v1\n${runId}\n{"baseRoot":"`),
    commit.slice(0, 120),
  );
  const join = Buffer.from(joinSigningBytes(runId, ada, joinOf("ada"))).toString("utf8");
  assert.ok(join.startsWith(`manyhands/join/v1\n${runId}\n${ada}\n{"exchangeKey":`));
});
