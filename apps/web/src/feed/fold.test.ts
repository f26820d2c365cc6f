import assert from "node:assert/strict";
import { test } from "node:test";
import { FEW_HANDS } from "../testing/hands.ts";
import { PretendRun } from "../testing/pretend-run.ts";
import { entryOfRow, placeOf, withColumns, withNews } from "./fold.ts";
import { NO_ROUNDS, ROUND_COLUMNS, type RoundColumns, type RunView } from "./run-view.ts";

/** Columns of rounds from one on; every value tells its round, and when it was told. */
function columns(from: number, to: number, told = 0): RoundColumns {
  const rounds = Array.from({ length: to - from }, (_, index) => from + index);
  const all = ROUND_COLUMNS.map((name) => [
    name,
    rounds.map((round) => (name === "round" ? round : round * 10 + told)),
  ]);
  return Object.fromEntries(all) as RoundColumns;
}

test("new columns go on after the known, and replace what they tell again", () => {
  const known = withColumns(NO_ROUNDS, columns(0, 5));
  const next = withColumns(known, columns(3, 7, 1));
  assert.deepEqual(next.round, [0, 1, 2, 3, 4, 5, 6]);
  assert.deepEqual(next.tokens, [0, 10, 20, 31, 41, 51, 61]);
  assert.equal(withColumns(known, NO_ROUNDS), known, "no news is the same view");
});

test("where only the newest rounds are kept, places follow the first of them", () => {
  const kept = withColumns(NO_ROUNDS, columns(100, 110));
  assert.equal(placeOf(kept, 105), 5);
  assert.equal(kept.round[placeOf(kept, 105)], 105);
});

test("rows become lines, and a damaged row becomes none", () => {
  const run = new PretendRun({ hands: FEW_HANDS.slice(0, 2), rounds: 1, end: "finished" });
  const kinds = new Set(run.rows.map((row) => entryOfRow(row)?.kind));
  for (const kind of ["created", "joined", "opened", "update", "gathered", "closed", "finished"]) {
    assert(kinds.has(kind as never), kind);
  }
  const [row] = run.rows;
  assert(row);
  assert.equal(entryOfRow({ ...row, event: "{" }), null);
});

test("trouble keeps what was known, and when it was heard last", () => {
  const empty = { status: null, run: null, trouble: null, heardAt: null };
  const view: RunView = { runId: "ab", rounds: NO_ROUNDS, feed: [], ...empty };
  const heard = withNews(view, { runId: "ab", columns: columns(0, 2), trouble: null }, 1_000);
  assert.equal(heard.heardAt, 1_000);
  const trouble = { kind: "away", message: "no answer" } as const;
  const away = withNews(heard, { runId: "ab", trouble }, 9_000);
  assert.equal(away.heardAt, 1_000);
  assert.equal(away.rounds, heard.rounds);
  assert.deepEqual(away.trouble, trouble);
});
