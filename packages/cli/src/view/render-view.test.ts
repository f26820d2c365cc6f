import assert from "node:assert/strict";
import { test } from "node:test";
import { COLOURS, PLAIN, paintFor, widthOf } from "../terminal/style.ts";
import { statusFixture, workerFixture } from "../testing/status-fixture.ts";
import { renderView } from "./render-view.ts";
import { roundLine } from "./round-line.ts";
import type { RunView } from "./view-model.ts";

function viewFixture(changes: Partial<RunView> = {}): RunView {
  return {
    status: statusFixture(),
    elapsedMs: 66_000,
    notice: "Ctrl-C stops politely.",
    localStates: new Map([["worker-4", "starting"]]),
    ...changes,
  };
}

test("the live view of a run in training", () => {
  const lines = renderView(viewFixture(), { width: 90, height: 30, paint: PLAIN });
  assert.deepEqual(
    lines.map((line) => line.trimEnd()),
    [
      "shakespeare  round 42, training  abababababab",
      "",
      "progress ━━━━━━──────────────────────── 22 %  860k of 4.00M tokens  1:06  3:39 left",
      "loss     █▄▂▁                           train 2.250  validation 2.400 (sample, round 40)",
      "speed    14\u202f336 tokens/s",
      "traffic  42.0 MB up, 17.2 MB down",
      "",
      "worker-1       training      ━━━━━─────    3\u202f580/s    215k tokens",
      "worker-2       uploading                   3\u202f580/s    215k tokens",
      "anna's laptop  gone                                    900 tokens",
      "worker-4       starting",
      "",
      "Ctrl-C stops politely.",
    ],
  );
});

test("before the first worker and after the end", () => {
  const empty = statusFixture({
    workers: [],
    trainLoss: [],
    evaluationLoss: [],
    phase: "waiting",
    round: 0,
  });
  const options = { width: 90, height: 30, paint: PLAIN };
  const first = renderView(viewFixture({ status: empty, localStates: new Map() }), options);
  assert.match(first.join("\n"), /round 0, waiting.*train – {2}validation –.*no worker yet/s);
  const over = statusFixture({ phase: "finished", position: 1_000_000 });
  const last = renderView(viewFixture({ status: over }), options).join("\n");
  assert.match(last, /shakespeare {2}finished/);
  assert.match(last, /worker-1 +done/);
  assert.doesNotMatch(last, /left/);
});

test("no line is wider than the terminal, with colours too, and tall lists are cut", () => {
  const workers = Array.from({ length: 50 }, (_, i) => workerFixture({ name: `device-${i}` }));
  const view = viewFixture({ status: statusFixture({ workers, trouble: "the disk is full" }) });
  for (const width of [20, 40, 80, 200]) {
    for (const paint of [PLAIN, COLOURS]) {
      const lines = renderView(view, { width, height: 24, paint });
      assert.ok(lines.length <= 23, `${lines.length} lines on 24 rows`);
      for (const line of lines) assert.ok(widthOf(line) <= width, `${widthOf(line)} > ${width}`);
    }
  }
  const text = renderView(view, { width: 80, height: 24, paint: PLAIN }).join("\n");
  assert.match(text, /and 41 more/);
  assert.match(text, /the disk is full/);
});

test("one line per round for a pipe", () => {
  const point = {
    round: 12,
    openedAt: 10_000,
    closedAt: 11_250,
    position: 0,
    tokensBefore: 225_280,
    tokens: 245_760,
    trainLoss: 2.113,
    evaluationLoss: null,
    evaluationTokens: 0,
    contributors: 4,
    late: 1,
    updateBytes: 660_000,
    aggregateBytes: 165_000,
  };
  const line = roundLine({ point, valLoss: 2.24, elapsedMs: 14_000, bytesUp: 2e6, bytesDown: 5e5 });
  assert.equal(
    line,
    "round   12    0:14    246k tokens  16\u202f384 tokens/s  train 2.113  val 2.240  " +
      "4 updates (1 late)  2.00 MB up  500 kB down",
  );
});

test("colours: for a terminal, never with NO_COLOR", () => {
  assert.equal(paintFor({ isTTY: true }, {}), COLOURS);
  assert.equal(paintFor({ isTTY: true }, { NO_COLOR: "1" }), PLAIN);
  assert.equal(paintFor({ isTTY: true }, { NO_COLOR: "" }), COLOURS);
  assert.equal(paintFor({ isTTY: true }, { TERM: "dumb" }), PLAIN);
  assert.equal(paintFor({ isTTY: false }, {}), PLAIN);
  assert.equal(paintFor({}, { FORCE_COLOR: "1" }), COLOURS);
});
