// The pure parts of the screens: names, ranks, badges, curves, links, rows in view.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WorkerStatus } from "@manyhands/coordinator/status";
import { parseLink } from "../feed/links.ts";
import { NO_ROUNDS } from "../feed/run-view.ts";
import { visibleRows } from "../ui/visible-rows.ts";
import { joinedName, partsOf } from "./names.ts";
import { BADGE_TOKENS, badgesFor, tokensToNext } from "./people/badge-ranks.ts";
import { cleanName } from "./people/profile-store.ts";
import { rankDevices, rankTeams } from "./people/ranking.ts";
import { ownLosses, roundSpeeds } from "./watch/series.ts";

const NOBODY: WorkerStatus = {
  workerId: "00",
  name: "",
  numerics: "ort-wasm",
  active: true,
  connected: true,
  credit: 0,
  updateCount: 0,
  payTo: null,
  doing: "waiting",
  innerStep: 0,
  innerSteps: 0,
  tokensPerSecond: 0,
  bytesUp: 0,
  bytesDown: 0,
};

test("a name and its team make one text, and come apart again", () => {
  for (const parts of [
    { name: "Ada", team: "Loom" },
    { name: "Ada", team: null },
    { name: "", team: "Loom" },
  ]) {
    assert.deepEqual(partsOf(joinedName(parts)), parts);
  }
  assert.equal(cleanName("A\u0000d\u200ba@home "), "Adahome ");
  const longest = joinedName({ name: cleanName("x".repeat(99)), team: cleanName("y".repeat(99)) });
  assert(longest.length <= 64, "the protocol's names have 64 characters");
});

test("ranks: by tokens, teams add up whatever their case, who gave nothing has none", () => {
  const workers = [
    { ...NOBODY, workerId: "aa", name: "Ada @Loom", credit: 5, updateCount: 1 },
    { ...NOBODY, workerId: "bb", name: "Bob", credit: 9, updateCount: 2 },
    { ...NOBODY, workerId: "cc", name: "Cy @loom", credit: 6, updateCount: 3 },
    { ...NOBODY, workerId: "dd" },
  ];
  const devices = rankDevices(workers);
  assert.deepEqual(
    devices.map(({ key }) => key),
    ["bb", "cc", "aa"],
  );
  assert.deepEqual(rankTeams(devices), [
    { key: "loom", name: "loom", team: null, tokens: 11, updates: 4, devices: 2 },
  ]);
});

test("badges begin at their tokens", () => {
  assert.equal(badgesFor(0), 0);
  for (const [rank, tokens] of BADGE_TOKENS.entries()) {
    assert.equal(badgesFor(tokens), rank + 1);
    assert.equal(badgesFor(tokens - 1), rank);
    assert.equal(tokensToNext(tokens - 1), 1);
  }
  assert.equal(tokensToNext(1e12), null);
});

test("curves: one's own losses stand at their rounds, speed is tokens over the round's time", () => {
  const rounds = {
    ...NO_ROUNDS,
    round: [0, 1, 2],
    openedAt: [0, 1_000, 2_000],
    closedAt: [500, 2_000, 2_000],
    tokensBefore: [0, 100, 300],
    tokens: [100, 300, 300],
  };
  assert.deepEqual(roundSpeeds(rounds), [200, 200, null]);
  const update = { kind: "update", sequence: 0, tick: 0, tokens: 1, loss: 2.5 } as const;
  const feed = [
    { ...update, workerId: "me", round: 1 },
    { ...update, workerId: "you", round: 2 },
  ];
  assert.deepEqual(ownLosses(rounds, feed, "me"), [null, 2.5, null]);
});

test("a join link has a run and a token; nothing else is one", () => {
  const runId = "ab".repeat(32);
  assert.deepEqual(parseLink(` https://x:1/runs/${runId}#tok `), { runId, token: "tok" });
  const wrong = [`https://x/runs/${runId}`, `https://x/runs/12#tok`, "tok", `/runs/${runId}#tok`];
  for (const text of wrong) assert.equal(parseLink(text), null, text);
});

test("of 10 000 rows only those in view are drawn, and some beyond", () => {
  const list = { count: 10_000, rowHeight: 40 };
  assert.deepEqual(visibleRows(0, 400, list), { from: 0, to: 16 });
  assert.deepEqual(visibleRows(200_000, 400, list), { from: 4_994, to: 5_016 });
  assert.deepEqual(visibleRows(1e9, 400, list), { from: 10_000, to: 10_000 });
  assert.deepEqual(visibleRows(0, 400, { count: 0, rowHeight: 40 }), { from: 0, to: 0 });
});
