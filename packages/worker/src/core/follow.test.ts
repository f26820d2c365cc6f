// Catching up: from a checkpoint, from kept weights, over gaps; and stopping where roots disagree.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashOf } from "@manyhands/protocol/testing/fixtures";
import { boundRoot, CoreDriver, closedRound, openRound } from "../testing/core-driver.ts";
import type { WeightsName } from "./stored.ts";

function checkpointAfter(rounds: number, byteLength = 1_000) {
  const { stateRoot } = closedRound(rounds - 1);
  return { rounds, root: hashOf("checkpoint"), byteLength, stateRoot };
}

function keptAfter(rounds: number): WeightsName {
  const { weightsRoot, stateRoot } = closedRound(rounds - 1);
  return { rounds, weightsRoot, stateRoot };
}

/** Welcomed with these kept weights, prepared. */
function welcomed(
  welcome: Parameters<CoreDriver["welcome"]>[0],
  weights: WeightsName | null = null,
): CoreDriver {
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.greet();
  driver.welcome(welcome);
  driver.restored({ weights });
  driver.done({ kind: "prepare" });
  return driver;
}

function followed(driver: CoreDriver, round: number): void {
  assert.equal(driver.job("follow").closed.round, round);
  driver.done({ kind: "follow", weightsRoot: hashOf(`weights after ${round}`) });
}

test("a new worker takes the checkpoint and every round since, in order", () => {
  const driver = welcomed({
    checkpoint: checkpointAfter(5),
    closed: [closedRound(5), closedRound(6)],
  });
  assert.equal(driver.job("list-rounds").from, 4, "the round that binds the checkpoint's roots");
  driver.done({ kind: "list-rounds", rounds: [closedRound(4), closedRound(5), closedRound(6)] });
  driver.done({ kind: "load-checkpoint", weightsRoot: hashOf("weights after 4") });
  assert.equal(driver.job("follow").isNewest, false);
  followed(driver, 5);
  assert.equal(driver.job("follow").isNewest, true);
  followed(driver, 6);
  assert.equal(driver.core.status().roundsFollowed, 7);
  assert.equal(driver.core.status().phase, "Waiting for the next round.");
});

test("a checkpoint with other weights than its round names is not believed", () => {
  const driver = welcomed({ checkpoint: checkpointAfter(5) });
  driver.done({ kind: "list-rounds", rounds: [closedRound(4)] });
  driver.done({ kind: "load-checkpoint", weightsRoot: hashOf("other weights") });
  assert.equal(driver.end()?.reason, "diverged");
});

test("a new welcome while the checkpoint comes in: its round is asked for again", () => {
  const driver = welcomed({ checkpoint: checkpointAfter(5) });
  driver.done({ kind: "list-rounds", rounds: [closedRound(4)] });
  driver.job("load-checkpoint");
  driver.disconnect();
  driver.timer("reconnect");
  driver.greet();
  driver.welcome({ checkpoint: checkpointAfter(5) });
  driver.done({ kind: "load-checkpoint", weightsRoot: hashOf("weights after 4") });
  assert.equal(driver.end(), null);
  assert.equal(driver.job("list-rounds").from, 4);
});

test("a checkpoint whose state root is not bound by its round is not believed", () => {
  const checkpoint = { ...checkpointAfter(5), stateRoot: hashOf("another state") };
  const driver = welcomed({ checkpoint });
  driver.done({ kind: "list-rounds", rounds: [closedRound(4)] });
  driver.done({ kind: "load-checkpoint", weightsRoot: hashOf("weights after 4") });
  assert.equal(driver.end()?.reason, "diverged");
});

test("the first weights must be the run's own", () => {
  const driver = welcomed({});
  driver.done({ kind: "load-checkpoint", weightsRoot: hashOf("other weights") });
  assert.equal(driver.end()?.reason, "diverged");
});

test("kept weights that are in the history spare the checkpoint", () => {
  const closed = [closedRound(5), closedRound(6), closedRound(7)];
  const driver = welcomed({ checkpoint: checkpointAfter(5), closed }, keptAfter(7));
  followed(driver, 7);
  assert.ok(!driver.jobKinds().includes("load-checkpoint"));
});

test("kept weights older than the checkpoint: the cheaper way is taken", () => {
  const cheap = welcomed({ checkpoint: checkpointAfter(5, 1_000) }, keptAfter(3));
  assert.equal(cheap.job("list-rounds").from, 2);
  const rounds = [2, 3, 4].map((round) => closedRound(round, 400));
  cheap.done({ kind: "list-rounds", rounds });
  followed(cheap, 3);
  const dear = welcomed({ checkpoint: checkpointAfter(5, 700) }, keptAfter(3));
  dear.done({ kind: "list-rounds", rounds });
  assert.equal(dear.job("load-checkpoint").checkpoint.rounds, 5);
});

test("kept weights that are not in the history are dropped with a sentence", () => {
  const strange = { ...keptAfter(6), weightsRoot: hashOf("strange") };
  const driver = welcomed({ checkpoint: checkpointAfter(5), closed: [closedRound(5)] }, strange);
  const notices = driver.take().filter((effect) => effect.kind === "notice");
  assert.match(JSON.stringify(notices), /not in the coordinator's history/);
  assert.equal(driver.job("list-rounds").from, 4);
});

test("kept weights that are ahead of the coordinator are dropped", () => {
  const driver = welcomed({ checkpoint: checkpointAfter(5) }, keptAfter(9));
  assert.equal(driver.job("list-rounds").from, 4);
});

test("a gap in what we heard is filled by asking", () => {
  const driver = new CoreDriver().joined();
  driver.message({ type: "closed", closed: closedRound(2) });
  assert.equal(driver.job("list-rounds").from, 0);
  driver.done({ kind: "list-rounds", rounds: [closedRound(0), closedRound(1)] });
  for (const round of [0, 1, 2]) followed(driver, round);
});

test("an open round beyond what we know is a gap too", () => {
  const driver = new CoreDriver().joined();
  driver.message({ type: "round", ...openRound(1) });
  assert.equal(driver.job("list-rounds").from, 0);
});

test("an answer without the round that was asked for is not asked again at once", () => {
  const driver = new CoreDriver().joined();
  driver.message({ type: "closed", closed: closedRound(2) });
  const effects = driver.done({ kind: "list-rounds", rounds: [] });
  assert.ok(effects.some((effect) => effect.kind === "timer" && effect.timer === "again"));
  assert.ok(!effects.some((effect) => effect.kind === "job"));
  driver.timer("again");
  assert.equal(driver.job("list-rounds").from, 0);
});

test("a round told twice is followed once", () => {
  const driver = new CoreDriver().joined();
  driver.message({ type: "closed", closed: closedRound(0) });
  followed(driver, 0);
  driver.message({ type: "closed", closed: closedRound(0) });
  assert.equal(driver.jobKinds().filter((kind) => kind === "follow").length, 1);
});

test("other weights after a round: the worker says so, leaves and stops", () => {
  const driver = new CoreDriver().joined();
  driver.message({ type: "closed", closed: closedRound(0) });
  driver.done({ kind: "follow", weightsRoot: hashOf("other weights") });
  const end = driver.end();
  assert.equal(end?.reason, "diverged");
  assert.match(end?.sentence ?? "", /After round 0 the weights here .* are not the coordinator's/);
  assert.ok(driver.sent().some((message) => message.type === "leave"));
});

test("a state root that the roots do not give is a disagreement as well", () => {
  const driver = new CoreDriver().joined();
  const closed = { ...closedRound(0), stateRoot: hashOf("a state of its own") };
  driver.message({ type: "closed", closed });
  driver.done({ kind: "follow", weightsRoot: closed.weightsRoot });
  assert.equal(driver.end()?.reason, "diverged");
});

test("a round that starts from another state than ours: stop", () => {
  const driver = new CoreDriver().joined();
  driver.message({ type: "round", ...openRound(0), baseRoot: hashOf("elsewhere") });
  assert.equal(driver.end()?.reason, "diverged");
});

test("a round without contributions changes only the state root", () => {
  const driver = new CoreDriver().joined();
  const { initialWeightsRoot } = driver.run;
  const closed = {
    ...closedRound(0),
    aggregate: null,
    weightsRoot: initialWeightsRoot,
    stateRoot: boundRoot(initialWeightsRoot, 0),
  };
  driver.message({ type: "closed", closed });
  driver.done({ kind: "follow", weightsRoot: initialWeightsRoot });
  assert.equal(driver.end(), null);
  assert.equal(driver.core.status().roundsFollowed, 1);
});

test("a fetch that fails for a while is tried again, later and later; joining anew tries at once", () => {
  const driver = welcomed({});
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    const effects = driver.fail({ transient: true, sentence: "no answer" });
    const armed = effects.find((effect) => effect.kind === "timer" && effect.timer === "again");
    assert.ok(armed?.kind === "timer" && armed.at !== null);
    waits.push(armed.at - driver.now);
    assert.match(driver.core.status().phase, /Trying again: no answer/);
    driver.timer("again");
  }
  assert.ok(waits.every((wait, i) => wait <= Math.min(15_000, 500 * 2 ** i)));
  driver.fail({ transient: true });
  driver.disconnect();
  driver.timer("reconnect");
  driver.greet();
  driver.welcome();
  assert.equal(driver.jobKinds().at(-1), "load-checkpoint");
});

test("a checkpoint that has gone since the welcome: a new welcome names the newest", () => {
  const driver = welcomed({});
  const effects = driver.fail({ code: "blob/unknown" });
  assert.ok(effects.some((effect) => effect.kind === "disconnect"));
});

test("an aggregate that cannot be applied is a disagreement", () => {
  const driver = new CoreDriver().joined();
  driver.message({ type: "closed", closed: closedRound(0) });
  driver.fail({ sentence: "codec/length" });
  assert.equal(driver.end()?.reason, "diverged");
});
