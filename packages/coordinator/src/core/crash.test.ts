import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { MemoryLog } from "../log/memory-log.ts";
import { CoreStage } from "../testing/core-stage.ts";
import { tinyRun } from "../testing/tiny-run.ts";

const ROUNDS = 4;
const tiny = tinyRun({ tokens: 64 * ROUNDS });

/** Thrown where the process is killed. */
class Killed extends Error {}

type Fault = (call: string) => void;

/** The same log and blobs, with a fault before and after every call that writes. */
function faulty(stage: CoreStage, fault: Fault): void {
  const wrap = <T extends object>(target: T, names: readonly (keyof T & string)[]): void => {
    for (const name of names) {
      const inner = (target[name] as (...args: unknown[]) => unknown).bind(target);
      const outer = (...args: unknown[]): unknown => {
        fault(`before ${name}`);
        const result = inner(...args);
        fault(`after ${name}`);
        return result;
      };
      Object.defineProperty(target, name, { value: outer });
    }
  };
  wrap<Log>(stage.log, ["append", "putSideValue"]);
  wrap(stage.blobs, ["write", "remove"]);
}

/**
 * Lets one worker contribute until the run is finished; after a failure everything starts again.
 */
function playToEnd(stage: CoreStage): void {
  const actor = stage.join("ada");
  for (let turn = 0; stage.core.state.phase !== "finished"; turn++) {
    assert.ok(turn < 50 * ROUNDS, `round ${stage.core.state.roundsClosed} does not close`);
    if (stage.failures.length > 0 || actor.closed !== null) {
      assert.ok(stage.failures.every((failure) => failure instanceof Killed));
      stage.failures.length = 0;
      stage.restart();
      if (stage.failures.length > 0) continue;
      actor.reconnect();
      if (actor.closed !== null) continue;
    }
    const { current } = stage.core.state;
    // The bytes of a round's update depend on the round alone, as after a restart of a real worker.
    if (current && actor.info().assignment) tryTo(() => actor.contribute(current.round + 1));
    if (current && !actor.info().assignment) actor.reconnect();
  }
}

/** The kill may hit the test's own upload: then there is no upload. */
function tryTo(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
}

test("killed before and after every single write, the run comes to the same weights", () => {
  const undisturbed = new CoreStage({ tiny, checkpointEvery: 2 });
  let calls = 0;
  faulty(undisturbed, () => {
    calls += 1;
  });
  playToEnd(undisturbed);
  const { stateRoot } = undisturbed.core.state;
  assert.ok(calls > 40, `${calls} places to be killed at`);
  for (let killAt = 1; killAt <= calls; killAt++) {
    const stage = new CoreStage({ tiny, checkpointEvery: 2 });
    let call = 0;
    let where = "nowhere";
    faulty(stage, (name) => {
      call += 1;
      if (call !== killAt) return;
      where = name;
      throw new Killed(name);
    });
    playToEnd(stage);
    assert.notEqual(where, "nowhere");
    assert.equal(stage.core.state.stateRoot, stateRoot, `killed ${where}, call ${killAt}`);
    const kept = stage.blobs.roots().length;
    const most = undisturbed.blobs.roots().length + 4;
    assert.ok(kept <= most, `${kept} blobs are left after a kill ${where}, expected ≤ ${most}`);
  }
});

test("a full disk loses nothing: a commitment gets no receipt, and can be made again", () => {
  const stage = new CoreStage({ tiny });
  let full = false;
  faulty(stage, (call) => {
    if (full && call.startsWith("before")) throw new DiskError("writing", enospc());
  });
  const ada = stage.join("ada");
  ada.contribute(1);
  const made = ada.upload(2);
  full = true;
  ada.commit(made);
  assert.equal(ada.closed, "broken", "no receipt without a durable row");
  assert.equal(stage.core.state.pending.length, 0);
  full = false;
  ada.reconnect();
  ada.commit(made);
  assert.equal(stage.core.state.roundsClosed, 2);
  assert.deepEqual(stage.failures, []);
});

test("a disk that is full while a round closes delays the close, and the timer tries again", () => {
  const stage = new CoreStage({ tiny: tinyRun({ rounds: { workersMin: 2 } }) });
  const ada = stage.join("ada");
  const bob = stage.join("bob");
  let full = false;
  let tries = 0;
  faulty(stage, (call) => {
    if (!full || call !== "before write") return;
    tries += 1;
    throw new DiskError("writing", enospc());
  });
  ada.contribute(1);
  const made = bob.upload(2);
  full = true;
  bob.commit(made);
  assert.equal(stage.core.state.phase, "closing");
  assert.equal(bob.told("receipt").round, 0, "the commitment itself is safe");
  assert.match(stage.core.status().trouble ?? "", /disk is full/);
  stage.clock.advance(2_900);
  assert.equal(tries, 2, "once at once, once after a second; then it waits longer");
  full = false;
  stage.clock.advance(200);
  assert.equal(stage.core.state.roundsClosed, 1);
  assert.equal(stage.core.status().trouble, null);
});

test("a log that somebody else appended to stops the run, and says so", () => {
  const stage = new CoreStage({ tiny });
  const ada = stage.join("ada");
  stage.log.append(stage.log.head().head, [{ type: "RunPaused", tick: 5 }]);
  ada.contribute(1);
  assert.equal(stage.failures.length, 1);
  assert.match(String(stage.failures[0]), /head/);
  assert.equal(ada.closed, "broken");
  assert.ok(stage.log instanceof MemoryLog);
});

function enospc(): Error {
  return Object.assign(new Error("no space left"), { code: "ENOSPC" });
}
