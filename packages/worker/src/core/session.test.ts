// The connection: greeting, refusals, coming back, heartbeats, the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashOf, testRun } from "@manyhands/protocol/testing/fixtures";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import fc from "fast-check";
import { AUTHORITY, CoreDriver, openRound, SIGNATURE } from "../testing/core-driver.ts";
import { type EndReason, MEMORY_LIMIT, type WorkerEffect } from "./types.ts";

function timerAt(effects: readonly WorkerEffect[], timer: string): number | null | undefined {
  const armed = effects.findLast((effect) => effect.kind === "timer" && effect.timer === timer);
  return armed?.kind === "timer" ? armed.at : undefined;
}

test("the greeting: connect, hello with the token, a signed join, and the session of the welcome", () => {
  const driver = new CoreDriver();
  assert.deepEqual(driver.input({ kind: "started" }), [{ kind: "connect" }]);
  driver.greet();
  const [hello, join] = driver.sent();
  assert.deepEqual(hello, {
    type: "hello",
    protocolVersion: PROTOCOL_VERSION,
    kernelSet: KERNEL_SET,
    runId: driver.runId,
    token: "let me in",
  });
  assert.equal(join?.type === "join" && join.signature, SIGNATURE);
  const effects = driver.welcome();
  assert.ok(effects.some((e) => e.kind === "session" && e.token === hashOf("session")));
  assert.equal(driver.job("restore").run, driver.run);
  assert.equal(driver.core.status().connected, true);
});

const CHALLENGE = {
  type: "challenge",
  protocolVersion: PROTOCOL_VERSION,
  kernelSet: KERNEL_SET,
  challenge: hashOf("challenge"),
} as const;

const mismatches: readonly [string, object, EndReason, RegExp][] = [
  ["protocol", { protocolVersion: 99 }, "protocol-mismatch", /protocol version 99, this worker 1/],
  [
    "kernels",
    { kernelSet: "wgsl-7" },
    "kernel-mismatch",
    /kernel set wgsl-7, this worker has onnx-1\+wasm-/,
  ],
  ["run", { runId: hashOf("another run") }, "unknown-run", /another run/],
];
for (const [what, change, reason, sentence] of mismatches) {
  test(`a coordinator with another ${what} is left with a sentence`, () => {
    const driver = new CoreDriver();
    driver.input({ kind: "started" });
    driver.input({ kind: "connected" });
    driver.message({ ...CHALLENGE, runId: driver.runId, ...change });
    assert.equal(driver.end()?.reason, reason);
    assert.match(driver.end()?.sentence ?? "", sentence);
    assert.ok(!driver.sent().some((message) => message.type === "join"));
  });
}

const refusals: readonly [string, EndReason][] = [
  ["hello/protocol-version", "protocol-mismatch"],
  ["hello/kernel-set", "kernel-mismatch"],
  ["hello/run-unknown", "unknown-run"],
  ["auth/token", "token"],
  ["auth/signature", "refused"],
  ["join/run-finished", "run-finished"],
  ["join/delegation", "refused"],
  ["message/malformed", "refused"],
];
for (const [code, reason] of refusals) {
  test(`${code} ends the worker as ${reason}, with the coordinator's words`, () => {
    const driver = new CoreDriver();
    driver.input({ kind: "started" });
    driver.greet();
    driver.reject(code);
    assert.equal(driver.end()?.reason, reason);
    assert.equal(driver.end()?.code, code);
    assert.match(driver.end()?.sentence ?? "", /because of/);
    assert.equal(driver.core.status().lastReject?.code, code);
    assert.deepEqual(driver.input({ kind: "connected" }), [], "after the end nothing happens");
  });
}

for (const code of ["auth/session", "join/challenge", "join/workers-full", "message/rate"]) {
  test(`${code} is healed by a new connection`, () => {
    const driver = new CoreDriver();
    driver.input({ kind: "started" });
    driver.greet();
    const effects = driver.reject(code);
    assert.ok(effects.some((effect) => effect.kind === "disconnect"));
    assert.equal(typeof timerAt(effects, "reconnect"), "number");
    assert.equal(driver.end(), null);
  });
}

test("a run other than the one that the id names is refused", () => {
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.greet();
  driver.welcome({ run: testRun({ innerSteps: 11 }) });
  assert.equal(driver.end()?.reason, "refused");
});

test("a device without memory for the run leaves; another failure to prepare may be a crash's", () => {
  for (const [code, reason] of [
    [MEMORY_LIMIT, "unsupported"],
    [null, "compute-failed"],
  ] as const) {
    const driver = new CoreDriver();
    driver.input({ kind: "started" });
    driver.greet();
    driver.welcome();
    driver.restored();
    assert.equal(driver.job("prepare").kind, "prepare");
    driver.fail({ sentence: "training does not fit", code });
    assert.equal(driver.end()?.reason, reason);
    assert.match(driver.end()?.sentence ?? "", /This device cannot train the run: training does/);
  }
});

test("an outer momentum is refused: a joiner could not know it", () => {
  const plain = testRun();
  const outer = { learningRate: 1, momentum: 0.9 };
  const driver = new CoreDriver({ run: { ...plain, recipe: { ...plain.recipe, outer } } });
  driver.input({ kind: "started" });
  driver.greet();
  driver.welcome();
  assert.equal(driver.end()?.reason, "unsupported");
});

test("waits before another connection: full jitter, doubling, at most 15 s, forgotten when joined", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 20 }), (seed, failures) => {
      const driver = new CoreDriver({ seed });
      driver.input({ kind: "started" });
      for (let i = 0; i < failures; i++) {
        const at = timerAt(driver.disconnect(), "reconnect");
        assert.ok(typeof at === "number");
        assert.ok(at - driver.now <= Math.min(15_000, 500 * 2 ** i), `wait ${i}`);
        assert.ok(at >= driver.now);
        driver.now = at;
        assert.ok(driver.timer("reconnect").some((effect) => effect.kind === "connect"));
      }
      assert.equal(driver.core.status().reconnectAttempt, failures);
      driver.greet();
      driver.welcome();
      assert.equal(driver.core.status().reconnectAttempt, 0);
    }),
  );
});

test("while not connected the status says so, with the reason and the count", () => {
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.disconnect();
  driver.timer("reconnect");
  driver.disconnect();
  assert.match(driver.core.status().phase, /Not connected \(cut\); tried 2 times/);
});

test("no welcome in half a minute: another connection", () => {
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  const effects = driver.input({ kind: "connected" });
  assert.equal(timerAt(effects, "greeting"), driver.now + 30_000);
  assert.ok(driver.timer("greeting").some((effect) => effect.kind === "disconnect"));
});

test("404 at the first connection: the run is unknown; later it is only a reason to come back", () => {
  const first = new CoreDriver();
  first.input({ kind: "started" });
  first.disconnect(1006, 404);
  assert.equal(first.end()?.reason, "unknown-run");
  const later = new CoreDriver().joined();
  later.disconnect();
  later.timer("reconnect");
  later.disconnect(1006, 404);
  assert.equal(later.end(), null);
});

test("another process with the same key: this one stops instead of fighting", () => {
  const driver = new CoreDriver().joined();
  driver.disconnect(4001);
  assert.equal(driver.end(), null, "once, it may be our own join that came late");
  driver.timer("reconnect");
  driver.greet();
  driver.welcome();
  driver.now += 30_000;
  driver.disconnect(4001);
  assert.equal(driver.end()?.reason, "replaced");
});

test("a heartbeat at least every quarter of the lease", () => {
  const driver = new CoreDriver({ run: testRun({ rounds: { leaseMs: 8_000 } }) });
  driver.input({ kind: "started" });
  driver.greet();
  assert.equal(timerAt(driver.welcome(), "heartbeat"), driver.now + 2_000);
  driver.now += 2_000;
  const effects = driver.timer("heartbeat");
  assert.ok(effects.some((e) => e.kind === "send" && e.message.type === "heartbeat"));
  assert.equal(timerAt(effects, "heartbeat"), driver.now + 2_000);
});

test("a change of what we do is told at once, but at most every second", () => {
  const driver = new CoreDriver().joined();
  driver.take();
  driver.now += 5_000;
  driver.message({ type: "round", ...openRound(0) });
  const told = driver.sent().filter((message) => message.type === "heartbeat");
  assert.deepEqual(
    told.map((message) => message.type === "heartbeat" && message.doing),
    ["training"],
  );
  driver.now += 10;
  driver.trained();
  assert.ok(!driver.sent().some((message) => message.type === "heartbeat"));
});

test("silence for four leases is a dead connection, unless the run is paused", () => {
  const driver = new CoreDriver().joined();
  const effects = driver.message({ type: "paused" });
  assert.equal(timerAt(effects, "silence"), driver.now + 240_000);
  assert.ok(!driver.timer("silence").some((effect) => effect.kind === "disconnect"));
  driver.message({ type: "resumed" });
  assert.ok(driver.timer("silence").some((effect) => effect.kind === "disconnect"));
});

test("the run's end ends the worker, without a leave message", () => {
  const driver = new CoreDriver().joined();
  driver.take();
  driver.message({ type: "finished", reason: "tokens", stateRoot: hashOf("end") });
  assert.equal(driver.end()?.reason, "finished");
  assert.match(driver.end()?.sentence ?? "", /budget of tokens is spent/);
  assert.deepEqual(driver.sent(), []);
});

test("a run that was over before we came is told apart", () => {
  const driver = new CoreDriver();
  driver.input({ kind: "started" });
  driver.greet();
  driver.welcome();
  driver.message({ type: "finished", reason: "minutes", stateRoot: hashOf("end") });
  assert.equal(driver.end()?.reason, "run-finished");
});

test("other authority keys than at the first welcome: another log, where our receipts are worth nothing", () => {
  const driver = new CoreDriver().joined();
  const again = (authority: (typeof AUTHORITY)[]): void => {
    driver.disconnect();
    driver.timer("reconnect");
    driver.greet();
    driver.welcome({ authority });
  };
  again([AUTHORITY]);
  assert.equal(driver.end(), null);
  again([{ ...AUTHORITY, bytes: hashOf("another coordinator") }]);
  assert.equal(driver.end()?.reason, "refused");
});
