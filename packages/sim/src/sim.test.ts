// Many seeds, each a swarm with faults and liars; what they reached together, so that passing means
// something; and that a seed is a seed.
import assert from "node:assert/strict";
import test from "node:test";
import { simulate } from "./simulate.ts";

const SEEDS = Array.from({ length: 24 }, (_, index) => index + 1);
const totals = new Map<string, number>();

for (const seed of SEEDS) {
  test(`seed ${seed}: safe after every event, finished after the faults`, async () => {
    const report = await simulate({ seed });
    const again = `npm run sim -- --seed ${seed} --trace`;
    assert.equal(report.failure, null, `see it again: ${again}`);
    for (const [what, times] of report.counters) totals.set(what, (totals.get(what) ?? 0) + times);
  });
}

/** What the seeds must have met together. */
const MET = [
  "coordinator crashes",
  "crashes before a write",
  "crashes after a write",
  "worker crashes",
  "polite leaves",
  "rejoins",
  "workers gone: expired",
  "workers gone: left",
  "connections cut",
  "silences",
  "requests lost",
  "requests doubled",
  "answers lost",
  "answers cut",
  "uploads broken off",
  "full disks",
  "writes refused by a full disk",
  "event RunPaused",
  "event RunResumed",
  "stops asked for",
  "empty rounds",
  "commits sent again",
  "receipts given again",
  "residuals that go on",
  "residuals that take an update back",
  "updates closed 0 rounds late",
  "updates closed 1 rounds late",
  "updates closed 2 rounds late",
  "liars asleep",
  "liars' accepted updates",
] as const;

/** Refusals that the liars must have provoked. */
const REFUSED = [
  "auth/session",
  "auth/signature",
  "auth/token",
  "blob/hash",
  "blob/sealed",
  "blob/too-large",
  "commit/base-root",
  "commit/blob-content",
  "commit/blob-missing",
  "commit/blob-size",
  "commit/codec",
  "commit/data-range",
  "commit/evaluation",
  "commit/fragments",
  "commit/group",
  "commit/inner-steps",
  "commit/numerics",
  "commit/round-unknown",
  "commit/tokens",
  "commit/too-late",
  "hello/kernel-set",
  "hello/protocol-version",
  "hello/run-unknown",
  "message/malformed",
  "message/out-of-order",
  "message/too-large",
] as const;

test("the seeds met every kind of trouble", () => {
  const expected = [...MET, ...REFUSED.map((code) => `reject ${code}`)];
  const missed = expected.filter((what) => !totals.has(what));
  assert.deepEqual(missed, []);
});

test("the same seed gives the same log and the same trace, another seed another", async () => {
  const first = await simulate({ seed: 9 });
  const again = await simulate({ seed: 9 });
  const other = await simulate({ seed: 10 });
  assert.equal(again.logHead, first.logHead);
  assert.equal(again.traceHash, first.traceHash);
  assert.notEqual(other.logHead, first.logHead);
});
