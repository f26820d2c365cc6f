import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { defined } from "@manyhands/base/assert";
import { ScoreKeeper } from "@manyhands/chain/scores/score-keeper";
import { ScoreStore } from "@manyhands/chain/scores/score-store";
import { SCORED_PAY, VALIDATORS } from "@manyhands/chain/testing/validators";
import { hashOf } from "@manyhands/protocol/testing/fixtures";
import { scoreDesk } from "./score-desk.ts";
import { type ScoreDone, type ScoreEntry, type ScoreTurn, scoreWindow } from "./score-turn.ts";

const terms = { runId: hashOf("run"), pay: SCORED_PAY };
const WORKER = hashOf("worker");
const ENDED = {
  ...{ window: 0, lastRound: 2, accepted: new Map([[WORKER, 640]]) },
  accounts: new Map(),
};

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) text += piece;
  return JSON.parse(text);
}

/** A coordinator with one ended window, as far as validators see it. */
async function staged(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-score-"));
  const end = { roundsClosed: 3, isFinished: false };
  const opened = () => {
    const store = ScoreStore.open(":memory:");
    t.after(() => store.close());
    return new ScoreKeeper({ store, terms, end: () => end });
  };
  const now = { keeper: opened() };
  const server = createServer(async (request, response) => {
    const [, window = "", what] = /scores\/(\d+)(?:\/(\w+))?$/.exec(request.url ?? "") ?? [];
    const desk = scoreDesk(now.keeper);
    if (request.method === "GET") return response.end(desk.transcript(Number(window)));
    const take = what === "commits" ? desk.commit : desk.reveal;
    const taken = take(Number(window), await bodyOf(request));
    response.statusCode = taken.ok ? 201 : 422;
    return response.end(JSON.stringify(taken.ok ? {} : taken.error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  const runUrl = `http://127.0.0.1:${port}/runs/${terms.runId}`;
  const url = { runUrl, runId: terms.runId, token: "t", socketUrl: "" };
  const entry = (): ScoreEntry => {
    const [first] = scoreDesk(now.keeper).list();
    const { committed, revealed, ...rest } = defined(first, "a window");
    return { ...rest, committed: [...committed], revealed: [...revealed] };
  };
  const score = (who: number, shown: ScoreEntry = entry()): Promise<ScoreDone | null> => {
    const { wallet } = defined(VALIDATORS[who], "a validator");
    const turn: ScoreTurn = { url, wallet, file: null, folder, terms };
    return scoreWindow(turn, shown, ENDED);
  };
  return { now, end, score, entry, folder, opened };
}

test("commit, wait, reveal, wait; and nothing more once it is closed", async (t) => {
  const { score, entry, now, folder } = await staged(t);
  for (const who of [0, 1, 2]) {
    assert.equal(await score(who), "committed");
    if (who < 2) assert.equal(await score(who), "waits");
  }
  assert.equal(readdirSync(join(folder, terms.runId)).length, 3);
  for (const who of [0, 1, 2]) {
    assert.equal(entry().phase, "reveal");
    assert.equal(await score(who), "revealed");
    if (who < 2) assert.equal(await score(who), "waits");
  }
  assert.equal(entry().phase, "closed");
  assert.equal(await score(0), null);
  const reveals = now.keeper.window(0)?.reveals ?? new Map();
  assert.deepEqual([...reveals.values()].map(({ scores }) => scores)[0], [
    { worker: WORKER, score: 640 },
  ]);
});

test("who comes late, has lost what it committed to, or was closed without, is told so", async (t) => {
  const { score, now, folder } = await staged(t);
  assert.equal(await score(0), "committed");
  assert.equal(await score(1), "committed");
  now.keeper.endPhases();
  assert.equal(await score(2), "late");
  rmSync(join(folder, terms.runId, `${VALIDATORS[0]?.validator}-0.json`));
  assert.equal(await score(0), "lost");
  now.keeper.endPhases();
  assert.equal(await score(1), "missed");
  assert.equal(await score(1), null, "once");
});

test("scores are revealed with one set of commitments only, whatever is shown later", async (t) => {
  const { score, now, opened } = await staged(t);
  assert.equal(await score(0), "committed");
  now.keeper.endPhases();
  assert.equal(await score(0), "revealed", "a coordinator that lies has seen them now");
  const [commit] = now.keeper.window(0)?.commits.values() ?? [];
  // Another window 0, as if nothing had been revealed: here somebody knows what to say.
  now.keeper = opened();
  now.keeper.newest(1);
  assert.equal(await score(0), "changed", "not committed to again");
  assert.ok(now.keeper.commit(0, defined(commit, "its commitment")).ok);
  assert.equal(await score(1), "committed");
  now.keeper.endPhases();
  assert.equal(await score(0), "changed", "not revealed again");
  assert.equal(await score(1), "revealed");
});

test("a window that was closed is not said anything of again", async (t) => {
  const { score, now, opened } = await staged(t);
  assert.equal(await score(0), "committed");
  now.keeper.endPhases();
  now.keeper.endPhases();
  assert.equal(await score(0), "missed");
  now.keeper = opened();
  now.keeper.newest(1);
  assert.equal(await score(0), "changed");
});

test("a window that ends elsewhere by the log is not scored", async (t) => {
  const { score, entry } = await staged(t);
  assert.equal(await score(0, { ...entry(), lastRound: 3 }), "waits");
});
