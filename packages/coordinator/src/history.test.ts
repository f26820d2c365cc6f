import assert from "node:assert/strict";
import { test } from "node:test";
import { workerIdOf } from "@manyhands/protocol/keys";
import { historyOf } from "./history.ts";
import { statusOf } from "./status.ts";
import { CoreStage } from "./testing/core-stage.ts";
import { tinyRun } from "./testing/tiny-run.ts";

const TOKENS = 64;

/** Two workers; bob's first update comes a round late, with its share of an evaluation. */
function played(): CoreStage {
  const tiny = tinyRun({ rounds: { workersMin: 2, roundMsMax: 1_000, evaluateEvery: 1 } });
  const stage = new CoreStage({ tiny });
  const ada = stage.join("ada");
  const bob = stage.join("bob");
  const late = bob.upload(5);
  stage.clock.advance(100);
  ada.contribute(1);
  stage.clock.advance(1_000);
  bob.commit(late);
  stage.clock.advance(100);
  ada.contribute(3);
  bob.contribute(7);
  return stage;
}

test("the history tells for every round who gave what, and how long it took", () => {
  const stage = played();
  const nameWorker = { nameWorker: workerNamer };
  const history = historyOf(stage.events, nameWorker);
  const [first, second] = history.points;
  assert.ok(first && second);
  assert.equal(first.contributors, 1);
  assert.equal(first.late, 0);
  assert.deepEqual([first.tokensBefore, first.tokens], [0, TOKENS]);
  assert.equal(first.closedAt - first.openedAt, 1_000);
  assert.equal(first.trainLoss, 2.000001);
  assert.equal(second.contributors, 3);
  assert.equal(second.late, 1);
  assert.deepEqual([second.tokensBefore, second.tokens], [TOKENS, 4 * TOKENS]);
  assert.ok(Math.abs((second.trainLoss ?? 0) - (2 + (3 + 5 + 7) / 3e6)) < 1e-12);
  assert.equal(second.updateBytes, 3 * first.updateBytes);
  assert.ok(second.aggregateBytes > 0);
  const workers = [...history.workers.values()].map(({ name, tokens }) => [name, tokens]);
  assert.deepEqual(workers, [
    ["ada", 2 * TOKENS],
    ["bob", 2 * TOKENS],
  ]);
});

test("a late share of an evaluation joins the point of its own round", () => {
  const stage = played();
  const [first] = historyOf(stage.events).points;
  assert.equal(first?.evaluationLoss, 2.5);
  assert.equal(first?.evaluationTokens, 2 * 16, "one window of each worker");
});

test("a live coordinator keeps the newest points, a report all of them", () => {
  const stage = played();
  assert.equal(historyOf(stage.events, { pointsMax: 1 }).points.length, 1);
  assert.equal(historyOf(stage.events, { pointsMax: 1 }).points[0]?.round, 1);
});

test("the status: speed over the newest rounds, time left at that speed, curves", () => {
  const stage = played();
  const status = stage.core.status();
  assert.equal(status.tokensPerSecond, Math.round((4 * TOKENS * 1_000) / 1_200));
  assert.equal(status.position, 256);
  assert.equal(status.etaMs, Math.round(((1_000_000 - 256) * 1_200) / 256));
  assert.deepEqual(
    status.trainLoss.map(({ tokens }) => tokens),
    [TOKENS, 4 * TOKENS],
  );
  assert.deepEqual(
    status.evaluationLoss.map(({ tokens }) => tokens),
    [0, TOKENS],
  );
  assert.equal(status.parameters, 40 * 8 + 8);
  const before = new CoreStage({ tiny: tinyRun() }).core.status();
  assert.deepEqual([before.tokensPerSecond, before.etaMs], [0, null]);
});

test("the status of a state that was read from a folder has no live facts", () => {
  const { core } = played();
  const live = {
    heartbeats: new Map(),
    connected: new Set<string>(),
    rejects: new Map([["auth/token", 2]]),
    wish: null,
    trouble: null,
  };
  const traffic = {
    total: { bytesUp: 5, bytesDown: 6 },
    workers: new Map([
      [core.state.workers.keys().next().value ?? "", { bytesUp: 5, bytesDown: 6 }],
    ]),
  };
  const status = statusOf(core.state, core.history, live, traffic);
  assert.deepEqual(status.rejects, { "auth/token": 2 });
  const [ada, bob] = status.workers;
  assert.deepEqual([ada?.bytesUp, ada?.bytesDown, ada?.connected], [5, 6, false]);
  assert.equal(bob?.bytesUp, 0);
});

function workerNamer(event: {
  readonly join: { readonly signingKey: Parameters<typeof workerIdOf>[0] };
}): string {
  return workerIdOf(event.join.signingKey);
}
