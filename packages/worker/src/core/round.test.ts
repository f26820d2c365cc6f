// A round's life and the update's way: training, commit, receipt, late, refused, resent, stopped.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashOf, testRun } from "@manyhands/protocol/testing/fixtures";
import { CoreDriver, closedRound, openRound, SIGNATURE } from "../testing/core-driver.ts";
import { EMPTY_LEDGER } from "./stored.ts";

function inRound(round = openRound(0)): CoreDriver {
  return new CoreDriver().joined({ current: round });
}

/** Trained and uploaded: the commitment is sent and unanswered. */
function committed(driver = inRound()) {
  const update = driver.trained();
  driver.take();
  driver.done({ kind: "upload" });
  const [commit] = driver.sent();
  assert.deepEqual(commit, { type: "commit", update, signature: SIGNATURE });
  return { driver, update };
}

function followed(driver: CoreDriver, round: number): void {
  driver.done({ kind: "follow", weightsRoot: hashOf(`weights after ${round}`) });
}

test("a whole round: train, encode, keep, upload, commit, receipt, settle, follow, next round", () => {
  const { driver, update } = committed();
  assert.deepEqual(
    { ...update, metrics: null, carried: null },
    {
      round: 0,
      baseRoot: openRound(0).baseRoot,
      data: { kind: "range", firstSample: 0, sampleCount: 20 },
      tokens: 160,
      innerSteps: 10,
      codec: "ternary",
      numerics: "ort-cpu",
      fragments: null,
      updateRoot: hashOf("update"),
      updateBytes: 100,
      groupCount: 1,
      traceRoot: null,
      carried: null,
      metrics: null,
    },
  );
  assert.deepEqual(update.carried, [
    { name: "error-feedback", before: hashOf("residual before"), after: hashOf("residual after") },
  ]);
  driver.receipt(update);
  const settle = driver.job("settle");
  assert.equal(settle.answer, "accepted");
  assert.deepEqual(settle.ledger, { settledRounds: 1, acceptedUpdates: 1, tokensGiven: 160 });
  driver.done({ kind: "settle" });
  driver.message({ type: "closed", closed: closedRound(0) });
  followed(driver, 0);
  driver.message({ type: "round", ...openRound(1) });
  assert.equal(driver.job("train").round.round, 1);
  assert.equal(driver.core.status().tokensGiven, 160);
});

test("the share of an evaluation comes first and rides in the metrics", () => {
  const round = openRound(0);
  const assignment = { ...round.assignment!, evaluate: { windows: [3, 5] } };
  const driver = inRound({ ...round, assignment });
  assert.deepEqual(driver.job("evaluate").windows, [3, 5]);
  driver.done({ kind: "evaluate", lossMicronats: 5_000_000, tokens: 16 });
  const { metrics } = driver.trained();
  assert.deepEqual(metrics.evaluation, { lossMicronats: 5_000_000, tokens: 16 });
});

test("an evaluation that fails does not cost the round", () => {
  const round = openRound(0);
  const assignment = { ...round.assignment!, evaluate: { windows: [3] } };
  const driver = inRound({ ...round, assignment });
  driver.fail({});
  assert.equal(driver.trained().metrics.evaluation, null);
});

test("a joiner without an assignment waits for the next round", () => {
  const driver = inRound({ ...openRound(0), assignment: null });
  assert.equal(driver.jobKinds().includes("train"), false);
  assert.match(driver.core.status().phase, /from the next round on/);
});

test("a round that is told twice is trained once", () => {
  const { driver, update } = committed();
  driver.receipt(update);
  driver.done({ kind: "settle" });
  driver.message({ type: "round", ...openRound(0) });
  assert.equal(driver.jobKinds().filter((kind) => kind === "train").length, 1);
});

test("the round closes while we train: the update is committed late, then we catch up", () => {
  const driver = inRound();
  driver.message({ type: "closed", closed: closedRound(0) });
  driver.message({ type: "round", ...openRound(1) });
  assert.equal(driver.jobKinds().at(-1), "train", "training goes on");
  const { update } = committed(driver);
  assert.equal(update.round, 0);
  driver.receipt(update);
  followed(driver, 0);
  driver.done({ kind: "settle" });
  assert.equal(driver.job("train").round.round, 1);
});

test("following goes on while a receipt is awaited, training does not", () => {
  const { driver, update } = committed();
  driver.message({ type: "closed", closed: closedRound(0) });
  driver.message({ type: "round", ...openRound(1) });
  followed(driver, 0);
  assert.equal(driver.jobKinds().at(-1), "follow");
  driver.receipt(update);
  driver.done({ kind: "settle" });
  assert.equal(driver.job("train").round.round, 1);
});

test("a round that closed more than stalenessMax rounds ago is given up", () => {
  const driver = inRound();
  driver.take();
  for (const round of [0, 1]) driver.message({ type: "closed", closed: closedRound(round) });
  assert.ok(!driver.take().some((effect) => effect.kind === "stop-training"));
  driver.message({ type: "closed", closed: closedRound(2) });
  assert.ok(driver.take().some((effect) => effect.kind === "stop-training"));
  driver.done({ kind: "train", innerSteps: 4, lossMicronats: 1, innerStepMicros: 1 });
  assert.equal(driver.job("follow").closed.round, 0);
});

test("refused as too late: settled as refused, so that the residual keeps it", () => {
  const { driver } = committed();
  driver.reject("commit/too-late", 0);
  const settle = driver.job("settle");
  assert.equal(settle.answer, "refused");
  assert.deepEqual(settle.ledger, { settledRounds: 1, acceptedUpdates: 0, tokensGiven: 0 });
  assert.equal(driver.core.status().lastReject?.code, "commit/too-late");
});

test("bytes that the coordinator cannot use: dropped with the residual that shaped them", () => {
  const { driver } = committed();
  driver.reject("commit/blob-content", 0);
  assert.equal(driver.job("settle").answer, "unusable");
});

test("the connection is cut before the receipt: the same bytes are committed again, without an upload", () => {
  const { driver, update } = committed();
  driver.disconnect();
  driver.timer("reconnect");
  driver.greet();
  driver.take();
  driver.welcome({ current: { ...openRound(0), assignment: null } });
  const commits = driver.sent().filter((message) => message.type === "commit");
  assert.deepEqual(commits, [{ type: "commit", update, signature: SIGNATURE }]);
  driver.receipt(update);
  assert.equal(driver.job("settle").answer, "accepted");
});

test("the coordinator lost the bytes: uploaded and committed again", () => {
  const { driver, update } = committed();
  driver.reject("commit/blob-missing", 0);
  driver.take();
  driver.done({ kind: "upload" });
  assert.deepEqual(driver.sent(), [{ type: "commit", update, signature: SIGNATURE }]);
});

test("bytes that never arrive end as a refusal, not as a loop", () => {
  const { driver } = committed();
  for (let uploads = 1; uploads < 3; uploads++) {
    driver.reject("commit/blob-missing", 0);
    driver.done({ kind: "upload" });
  }
  driver.reject("commit/blob-missing", 0);
  assert.equal(driver.job("settle").answer, "refused");
});

test("an update that a killed process left is sent as it was, and no other one for its round", () => {
  const { update } = committed();
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.greet();
  driver.take();
  driver.welcome({ current: openRound(0) });
  driver.restored({ update: { update, signature: SIGNATURE } });
  const commits = driver.sent().filter((message) => message.type === "commit");
  assert.deepEqual(commits, [{ type: "commit", update, signature: SIGNATURE }]);
  driver.done({ kind: "prepare" });
  driver.done({ kind: "load-checkpoint", weightsRoot: driver.run.initialWeightsRoot });
  assert.ok(!driver.jobKinds().includes("train"), "round 0 is not trained again");
  driver.receipt(update);
  driver.done({ kind: "settle" });
  assert.ok(!driver.jobKinds().includes("train"));
});

test("a round that the ledger counts as settled is not trained again", () => {
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.greet();
  driver.welcome({ current: openRound(0) });
  driver.restored({ ledger: { ...EMPTY_LEDGER, settledRounds: 1 } });
  driver.done({ kind: "prepare" });
  driver.done({ kind: "load-checkpoint", weightsRoot: driver.run.initialWeightsRoot });
  assert.ok(!driver.jobKinds().includes("train"));
});

test("a kept update that may have been accepted is sent, however late: the answer decides", () => {
  const { update } = committed();
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.greet();
  driver.take();
  driver.welcome({ closed: [0, 1, 2].map((round) => closedRound(round)) });
  driver.restored({ update: { update, signature: SIGNATURE } });
  assert.ok(driver.sent().some((message) => message.type === "commit"));
  driver.receipt(update);
  driver.done({ kind: "prepare" });
  assert.equal(driver.job("settle").answer, "accepted", "it was, before the process died");
});

test("a commitment without an answer is sent again, and in the end on another connection", () => {
  const { driver } = committed();
  for (let again = 1; again < 3; again++) {
    driver.timer("answer");
    assert.equal(driver.sent().filter((message) => message.type === "commit").length, 1);
  }
  assert.ok(driver.timer("answer").some((effect) => effect.kind === "disconnect"));
});

test("commit/not-joined: the lease ran out, so we join anew", () => {
  const { driver } = committed();
  assert.ok(driver.reject("commit/not-joined", 0).some((effect) => effect.kind === "disconnect"));
});

test("a receipt for something else is no receipt", () => {
  const leaf = committed();
  leaf.driver.receipt(leaf.update, { leaf: hashOf("another leaf") });
  assert.equal(leaf.driver.end()?.reason, "diverged");
  const chain = committed();
  chain.driver.receipt(chain.update, { head: hashOf("another head") });
  assert.equal(chain.driver.end()?.reason, "diverged");
  const unsigned = committed();
  unsigned.driver.receipt(unsigned.update, { signature: SIGNATURE });
  assert.equal(unsigned.driver.end()?.reason, "diverged");
  const other = committed();
  other.driver.receipt(other.update, { round: 5 });
  assert.equal(other.driver.end(), null, "of another round: not for us now");
  assert.equal(other.driver.jobKinds().at(-1), "upload");
});

test("a loss that is not a number: nothing is sent, once more with a fresh optimiser, then the end", () => {
  const driver = inRound();
  driver.take();
  driver.fail({ sentence: "the loss is NaN" });
  const effects = driver.take();
  assert.ok(effects.some((effect) => effect.kind === "reset-optimizer"));
  assert.match(JSON.stringify(effects), /Round 0 is given up here, nothing is sent/);
  assert.equal(driver.job("train").round.round, 0);
  driver.fail({ sentence: "the loss is NaN" });
  assert.equal(driver.end()?.reason, "compute-failed");
  const sent = driver.sent().map((message) => message.type);
  assert.ok(sent.includes("leave") && !sent.includes("commit"));
});

test("an update that went out between two failures forgives the first", () => {
  const driver = inRound();
  driver.fail({ sentence: "the loss is NaN" });
  const { update } = committed(driver);
  driver.receipt(update);
  driver.done({ kind: "settle" });
  driver.message({ type: "closed", closed: closedRound(0) });
  followed(driver, 0);
  driver.message({ type: "round", ...openRound(1) });
  driver.fail({ sentence: "the loss is NaN" });
  assert.equal(driver.end(), null);
});

test("a disk that cannot keep the update ends the worker before anybody hears of it", () => {
  const driver = inRound();
  driver.done({ kind: "train", innerSteps: 10, lossMicronats: 1, innerStepMicros: 1 });
  driver.done({
    kind: "encode",
    updateRoot: hashOf("update"),
    updateBytes: 100,
    residualBefore: hashOf("a"),
    residualAfter: hashOf("b"),
  });
  driver.fail({ sentence: "no space left" });
  assert.equal(driver.end()?.reason, "storage-failed");
  assert.ok(!driver.sent().some((message) => message.type === "commit"));
});

test("a polite stop in mid-training sends what was done, and leaves after the receipt", () => {
  const driver = inRound();
  assert.ok(
    driver.input({ kind: "stop", mode: "graceful" }).some(({ kind }) => kind === "stop-training"),
  );
  const update = driver.trained(3);
  assert.equal(update.innerSteps, 3);
  assert.equal(update.tokens, 48);
  assert.deepEqual(update.data, { kind: "range", firstSample: 0, sampleCount: 6 });
  driver.done({ kind: "upload" });
  assert.equal(driver.end(), null, "the receipt is awaited");
  driver.receipt(update);
  driver.done({ kind: "settle" });
  assert.equal(driver.jobKinds().at(-1), "save");
  driver.take();
  driver.done({ kind: "save" });
  assert.equal(driver.end()?.reason, "stopped");
  assert.deepEqual(driver.sent(), [{ type: "leave" }]);
});

test("a polite stop before the first inner step leaves with nothing to send", () => {
  const driver = inRound();
  driver.input({ kind: "stop", mode: "graceful" });
  driver.done({ kind: "train", innerSteps: 0, lossMicronats: 0, innerStepMicros: 0 });
  driver.done({ kind: "save" });
  assert.equal(driver.end()?.reason, "stopped");
});

test("a polite stop without a connection keeps the update and goes", () => {
  const { driver } = committed();
  driver.disconnect();
  driver.input({ kind: "stop", mode: "graceful" });
  driver.done({ kind: "save" });
  assert.equal(driver.end()?.reason, "stopped");
});

test("a polite stop has a limit, and a second one forces", () => {
  const slow = committed().driver;
  slow.input({ kind: "stop", mode: "graceful" });
  slow.timer("leave");
  assert.equal(slow.end()?.reason, "stopped");
  const forced = committed().driver;
  forced.input({ kind: "stop", mode: "graceful" });
  forced.input({ kind: "stop", mode: "force" });
  assert.equal(forced.end()?.reason, "forced");
});

test("a polite stop while the data is still being fetched waits for nothing", () => {
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.greet();
  driver.welcome();
  driver.restored();
  assert.equal(driver.jobKinds().at(-1), "prepare");
  driver.input({ kind: "stop", mode: "graceful" });
  assert.equal(driver.end()?.reason, "stopped");
});

test("the run finishes with an answered update: it is settled first", () => {
  const { driver, update } = committed();
  driver.receipt(update);
  driver.message({ type: "finished", reason: "tokens", stateRoot: hashOf("end") });
  assert.equal(driver.end(), null);
  driver.done({ kind: "settle" });
  assert.equal(driver.end()?.reason, "finished");
});

test("results of a job that is not the current one are ignored", () => {
  const driver = inRound();
  driver.input({ kind: "done", id: 1, outcome: { kind: "settle" } });
  driver.input({
    kind: "failed",
    id: 1,
    failure: { sentence: "old", transient: false, code: null },
  });
  assert.equal(driver.jobKinds().at(-1), "train");
  assert.equal(driver.end(), null);
});

test("too many uploads of ours wait at the coordinator: later", () => {
  const driver = new CoreDriver({ run: testRun() }).joined({ current: openRound(0) });
  driver.trained();
  driver.fail({ code: "blob/quota" });
  driver.timer("again");
  assert.equal(driver.jobKinds().at(-1), "upload");
});
