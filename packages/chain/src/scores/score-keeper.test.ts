import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { hashOf } from "@manyhands/protocol/testing/fixtures";
import { SCORED_PAY, VALIDATORS } from "../testing/validators.ts";
import { knownOf, ScoreKeeper } from "./score-keeper.ts";
import { ScoreStore } from "./score-store.ts";

const terms = { runId: hashOf("run"), pay: SCORED_PAY };
const SCORES = [{ worker: hashOf("w"), score: 1 }];

function staged(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-scores-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "scores.sqlite");
  const end = { roundsClosed: 0, isFinished: false };
  const open = (): { keeper: ScoreKeeper; store: ScoreStore } => {
    const store = ScoreStore.open(path);
    t.after(() => store.close());
    return { store, keeper: new ScoreKeeper({ store, terms, end: () => end }) };
  };
  return { end, open, path };
}

const phases = (keeper: ScoreKeeper): string =>
  keeper
    .newest(99)
    .map(({ phase }) => phase)
    .join(" ");

test("windows open with their last rounds, and rounds close those that nobody comes for", (t) => {
  const { end, open } = staged(t);
  const { keeper } = open();
  assert.equal(phases(keeper), "");
  end.roundsClosed = 4;
  assert.equal(phases(keeper), "commit");
  end.roundsClosed = 6;
  assert.equal(phases(keeper), "closed commit");
  end.roundsClosed = 100;
  assert.match(phases(keeper), /^(closed ){32}commit$/);
  assert.equal(keeper.known, 32);
});

test("what was said is there after a restart, and for another process", async (t) => {
  const { end, open } = staged(t);
  const { keeper, store } = open();
  end.roundsClosed = 3;
  assert.equal(keeper.waiting()?.phase, "commit");
  for (const validator of VALIDATORS) {
    const commit = await validator.commit(terms, { window: 0, lastRound: 2 }, SCORES);
    assert.ok(open().keeper.commit(0, commit).ok);
  }
  const window = keeper.window(0);
  assert.ok(window?.phase === "reveal");
  for (const validator of VALIDATORS) {
    const reveal = await validator.reveal(terms, window, SCORES);
    assert.ok(open().keeper.reveal(0, reveal).ok);
  }
  assert.equal(knownOf(store.windows())[0]?.reveals.length, VALIDATORS.length);
  assert.equal(keeper.waiting(), null);
  const [validator] = VALIDATORS;
  const early = await validator?.commit(terms, { window: 1, lastRound: 5 }, SCORES);
  const refused = early && keeper.commit(1, early);
  assert.ok(refused && !refused.ok && refused.error.code === "score/window");
});

test("a finished run has no more rounds: its owner ends what is waited for", async (t) => {
  const { end, open } = staged(t);
  const { keeper } = open();
  Object.assign(end, { roundsClosed: 5, isFinished: true });
  assert.equal(phases(keeper), "commit commit");
  assert.deepEqual(
    keeper.newest(9).map(({ lastRound }) => lastRound),
    [2, 4],
    "the last one is shorter",
  );
  const [validator] = VALIDATORS;
  const commit = await validator?.commit(terms, { window: 0, lastRound: 2 }, SCORES);
  assert.ok(commit && keeper.commit(0, commit).ok);
  keeper.endPhases();
  assert.equal(phases(keeper), "reveal closed", "nobody had committed for the second");
  keeper.endPhases();
  assert.equal(phases(keeper), "closed closed");
});

test("a file that is none is an error with its place", (t) => {
  const { path } = staged(t);
  assert.throws(() => ScoreStore.open(join(path, "nowhere")), /scores.*scores\.sqlite\/nowhere/);
});
