import assert from "node:assert/strict";
import { test } from "node:test";
import { applyAggregate } from "@manyhands/aggregation/close-round";
import { weightsRoot } from "@manyhands/aggregation/roots";
import { defined } from "@manyhands/base/assert";
import { toHex } from "@manyhands/base/bytes";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import { TestWallet } from "@manyhands/protocol/testing/wallet";
import { platformSha256 } from "../blobs/blob-hasher.ts";
import { CoreStage, TOKEN } from "../testing/core-stage.ts";
import { FakeWorker } from "../testing/fake-worker.ts";
import { tinyRun } from "../testing/tiny-run.ts";
import { roundRulesOf } from "./rules.ts";

function eventTypes(stage: CoreStage): string {
  return stage.events.map(({ type }) => type).join(" ");
}

test("two workers train a round, and both can follow it from what they were sent", () => {
  const stage = new CoreStage({ tiny: tinyRun({ rounds: { workersMin: 2 } }) });
  const ada = stage.join("ada");
  assert.equal(ada.told("welcome").current, null, "one worker waits for the second");
  const bob = stage.join("bob");
  ada.contribute(1);
  assert.equal(stage.core.state.phase, "training");
  assert.equal(ada.told("receipt").round, 0);
  bob.contribute(2);
  assert.equal(stage.core.state.roundsClosed, 1);
  const { closed } = bob.told("closed");
  const aggregate = defined(closed.aggregate, "two contributions make an aggregate");
  const applied = applyAggregate({
    fragments: stage.tiny.run.fragments,
    weights: stage.tiny.weights,
    codec: "q8",
    outer: roundRulesOf(stage.tiny.run).outer,
    aggregate: defined(stage.blobs.read(aggregate.root), "the aggregate is stored"),
  });
  assert.ok(applied.ok);
  const found = weightsRoot(stage.tiny.run.fragments, applied.value.weights, platformSha256);
  assert.equal(toHex(found), closed.weightsRoot);
  assert.deepEqual(applied.value.weights, stage.core.weights);
  assert.equal(stage.core.state.current?.round, 1, "the next round is open");
  assert.deepEqual(stage.failures, []);
});

test("a run ends when its tokens are used up, and its last weights are stored", () => {
  const stage = new CoreStage({ tiny: tinyRun({ tokens: 64 * 3 }), checkpointEvery: 100 });
  const ada = stage.join("ada");
  for (const seed of [1, 2, 3]) ada.contribute(seed);
  assert.equal(stage.core.state.phase, "finished");
  assert.equal(ada.told("finished").reason, "tokens");
  const again = stage.connect(ada.worker);
  again.joinRun();
  const { checkpoint } = again.told("welcome");
  assert.equal(checkpoint.rounds, 3);
  assert.equal(again.told("finished").stateRoot, checkpoint.stateRoot);
  const late = stage.connect(new FakeWorker("late"));
  late.joinRun();
  assert.equal(late.told("reject").code, "join/run-finished");
  assert.equal(late.closed, "refused");
});

test("a wallet's delegation is taken with the join, and kept; one for another device is not", () => {
  const tiny = tinyRun();
  const stage = new CoreStage({ tiny: { ...tiny, run: { ...tiny.run, pay: TEST_PAY } } });
  const wallet = new TestWallet("ada");
  const ada = stage.join("ada");
  const payoutFor = (device: string) =>
    wallet.delegate({ chain: TEST_PAY.chain, device, run: stage.runId });
  ada.reconnect(payoutFor(stage.connect(new FakeWorker("eve")).worker.workerId));
  assert.equal(ada.told("reject").code, "join/delegation");
  assert.equal(ada.closed, "refused");
  assert.doesNotMatch(eventTypes(stage), /WorkerLeft/, "she has not left by it");
  const payout = payoutFor(ada.worker.workerId);
  ada.reconnect(payout);
  assert.equal(ada.told("welcome").workerId, ada.worker.workerId);
  stage.restart();
  assert.deepEqual(stage.core.state.workers.get(ada.worker.workerId)?.join.payout, payout);
});

test("a commitment sent again gets the same receipt, another one is refused", () => {
  const stage = new CoreStage({ tiny: tinyRun({ rounds: { workersMin: 2 } }) });
  const ada = stage.join("ada");
  stage.join("bob");
  const made = ada.upload(1);
  const message = ada.commit(made);
  const receipt = ada.told("receipt");
  const rows = stage.log.head().length;
  ada.say(message);
  assert.deepEqual(ada.told("receipt"), receipt);
  assert.equal(stage.log.head().length, rows, "nothing was logged twice");
  ada.commit(ada.upload(99));
  assert.equal(ada.told("reject").code, "commit/duplicate");
  assert.equal(ada.told("reject").round, 0);
  stage.restart();
  ada.reconnect();
  ada.say(message);
  assert.deepEqual(ada.told("receipt"), receipt, "also after a restart");
});

test("uploads stay sealed until their round's commitments are closed", () => {
  const stage = new CoreStage({ tiny: tinyRun({ rounds: { workersMin: 2 } }) });
  const ada = stage.join("ada");
  const bob = stage.join("bob");
  const first = ada.upload(1);
  const { updateRoot } = first.update;
  const sealed = () => {
    const readable = stage.core.readable(updateRoot);
    return readable.ok ? null : readable.error.code;
  };
  assert.equal(sealed(), "blob/sealed");
  ada.commit(first);
  assert.equal(sealed(), "blob/sealed");
  stage.restart();
  assert.equal(sealed(), "blob/sealed", "a restart does not open it");
  bob.reconnect();
  bob.contribute(2);
  stage.clock.advance(60_000);
  assert.equal(stage.core.state.roundsClosed, 1);
  assert.equal(sealed(), null);
  assert.equal(stage.core.readable("ab".repeat(32)).ok, false);
});

test("an upload that is never committed goes when nobody can commit it any more", () => {
  const stage = new CoreStage({ tiny: tinyRun({ rounds: { stalenessMax: 1 } }) });
  const ada = stage.join("ada");
  const { updateRoot } = ada.upload(99).update;
  ada.contribute(1);
  assert.notEqual(stage.blobs.size(updateRoot), null, "it may still come late");
  stage.restart();
  ada.reconnect();
  ada.contribute(2);
  ada.contribute(3);
  assert.equal(stage.blobs.size(updateRoot), null, "also one that a former process left");
});

test("a worker that is not heard of leaves when its lease ends; a heartbeat keeps it", () => {
  const stage = new CoreStage({ tiny: tinyRun({ rounds: { workersMin: 2, leaseMs: 1_000 } }) });
  const ada = stage.join("ada");
  const bob = stage.join("bob");
  for (let i = 0; i < 5; i++) {
    stage.clock.advance(400);
    const beat = { doing: "training", innerStep: 1, innerSteps: 2, tokensPerSecond: 7 } as const;
    ada.say({ type: "heartbeat", ...beat });
  }
  assert.equal(bob.closed, "expired");
  assert.equal(ada.closed, null);
  assert.equal(stage.events.at(-1)?.type, "WorkerLeft");
  const [status] = stage.core.status().workers;
  assert.equal(status?.doing, "training");
  assert.equal(status?.tokensPerSecond, 7);
  bob.reconnect();
  assert.equal(stage.core.state.workers.get(bob.worker.workerId)?.active, true);
});

test("a process that was held up does not take its workers for gone", () => {
  const stage = new CoreStage({ tiny: tinyRun({ rounds: { leaseMs: 1_000 } }) });
  const ada = stage.join("ada");
  stage.clock.holdUp(30_000);
  stage.clock.advance(1);
  assert.equal(ada.closed, null);
  stage.clock.advance(1_100);
  assert.equal(ada.closed, "expired", "one fresh lease, not an endless one");
});

test("a worker that joins again replaces its older connection, without an event", () => {
  const stage = new CoreStage({ tiny: tinyRun() });
  const ada = stage.join("ada");
  const rows = stage.log.head().length;
  const again = stage.connect(ada.worker);
  again.joinRun();
  assert.equal(ada.closed, "replaced");
  assert.equal(stage.log.head().length, rows);
  assert.deepEqual(again.info().assignment, ada.info().assignment, "its part is still its own");
  again.contribute(1);
  assert.equal(again.told("receipt").round, 0);
});

test("hello and join are refused with their codes, and the connection ends", () => {
  const stage = new CoreStage({ tiny: tinyRun() });
  const cases = [
    ["hello/protocol-version", { protocolVersion: 99 }],
    ["hello/kernel-set", { kernelSet: "other" }],
    ["hello/run-unknown", { runId: "ab".repeat(32) }],
    ["auth/token", { token: "wrong" }],
  ] as const;
  for (const [code, changed] of cases) {
    const actor = stage.connect();
    actor.say(actor.worker.hello(TOKEN, changed));
    assert.equal(actor.told("reject").code, code);
    assert.equal(actor.closed, "refused", code);
  }
  const forger = stage.connect();
  forger.say(forger.worker.hello(TOKEN));
  const other = new FakeWorker("other");
  const { signature } = other.joinMessage(stage.runId, forger.told("challenge").challenge);
  forger.say({ type: "join", ...forger.worker.join, signature });
  assert.equal(forger.told("reject").code, "auth/signature");
  const ada = stage.join("ada");
  const replayed = ada.worker.joinMessage(stage.runId, ada.told("challenge").challenge);
  const thief = stage.connect();
  thief.say(thief.worker.hello(TOKEN));
  thief.say(replayed);
  assert.equal(thief.told("reject").code, "auth/signature", "an old join fits no new challenge");
  assert.equal(stage.core.status().rejects["auth/signature"], 2);
});

test("messages out of order are refused; too many refusals end the connection", () => {
  const stage = new CoreStage({ tiny: tinyRun() });
  const actor = stage.connect();
  for (let i = 0; i < 15; i++) actor.say({ type: "leave" });
  assert.equal(actor.closed, null);
  actor.say({ type: "leave" });
  assert.equal(actor.closed, "refused");
  actor.say({ type: "leave" });
  assert.equal(stage.core.status().rejects["message/out-of-order"], 16);
});

test("a commitment is refused for its signature, its blob and its claims", () => {
  const stage = new CoreStage({ tiny: tinyRun() });
  const ada = stage.join("ada");
  const { run } = stage.tiny;
  const refused = (act: () => void): string => {
    ada.heard.splice(0, ada.heard.length, ...ada.heard.filter(({ type }) => type !== "reject"));
    act();
    return ada.told("reject").code;
  };
  const made = ada.worker.update(run, ada.info(), 1);
  assert.equal(
    refused(() => ada.commit(made)),
    "commit/blob-missing",
  );
  const other = new FakeWorker("other").commit(stage.runId, made.update);
  assert.equal(
    refused(() => ada.say(other)),
    "auth/signature",
  );
  ada.put(made.bytes, made.update.updateRoot);
  const withField = (changed: Partial<typeof made.update>) =>
    refused(() => ada.commit({ ...made, update: { ...made.update, ...changed } }));
  assert.equal(withField({ updateBytes: made.bytes.length - 1 }), "commit/blob-size");
  assert.equal(withField({ round: 7 }), "commit/round-unknown");
  assert.equal(withField({ baseRoot: "ab".repeat(32) }), "commit/base-root");
  assert.equal(withField({ tokens: 1 }), "commit/tokens");
  const junk = new Uint8Array(made.bytes.length).fill(255);
  assert.equal(
    refused(() => {
      const root = stage.blobs.write(junk);
      ada.put(junk, root);
      ada.commit({ bytes: junk, update: { ...made.update, updateRoot: root } });
    }),
    "commit/blob-content",
  );
  ada.commit(made);
  assert.equal(stage.core.state.roundsClosed, 1, "and the run goes on");
});

test("pause holds the run after the round, resume lets it go on, stop ends it", () => {
  const stage = new CoreStage({ tiny: tinyRun() });
  const ada = stage.join("ada");
  stage.core.pause();
  assert.equal(stage.core.status().wish, "pause");
  ada.contribute(1);
  assert.equal(stage.core.state.phase, "paused");
  stage.restart();
  ada.reconnect();
  assert.equal(ada.told("welcome").paused, true);
  stage.core.resume();
  assert.equal(stage.core.state.phase, "training");
  stage.core.stop();
  assert.equal(stage.core.state.phase, "training", "the round is not thrown away");
  ada.contribute(2);
  assert.equal(ada.told("finished").reason, "stopped");
});

test("stop ends a run at once when nobody is there", () => {
  const stage = new CoreStage({ tiny: tinyRun() });
  const ada = stage.join("ada");
  ada.say({ type: "leave" });
  assert.equal(ada.closed, "left");
  stage.core.stop();
  assert.equal(stage.core.state.phase, "finished");
});

test("a restart at any event goes on to the same weights", () => {
  const tiny = tinyRun({ tokens: 64 * 7 });
  const undisturbed = new CoreStage({ tiny, checkpointEvery: 3 });
  const worker = undisturbed.join("ada");
  for (let seed = 1; seed <= 7; seed++) worker.contribute(seed);
  assert.equal(undisturbed.core.state.phase, "finished");
  const disturbed = new CoreStage({ tiny, checkpointEvery: 3 });
  const actor = disturbed.join("ada");
  for (let seed = 1; seed <= 7; seed++) {
    disturbed.restart();
    actor.reconnect();
    const made = actor.upload(seed);
    disturbed.restart();
    actor.reconnect();
    actor.commit(made);
  }
  assert.deepEqual(disturbed.failures, []);
  assert.equal(eventTypes(disturbed), eventTypes(undisturbed));
  assert.deepEqual(disturbed.core.weights, undisturbed.core.weights);
});
