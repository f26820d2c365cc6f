import assert from "node:assert/strict";
import { test } from "node:test";
import type { HistoryPoint } from "@manyhands/coordinator/history";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { frozenRunDecoder } from "@manyhands/protocol/run-config";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import { KERNEL_SET } from "@manyhands/protocol/version";
import { summaryOf } from "../run/summary.ts";
import { statusFixture, workerFixture } from "../testing/status-fixture.ts";
import { bytesPicture, lossChart, roundsChart } from "./charts.ts";
import { reportHtml } from "./report-html.ts";
import { paySection } from "./report-pay.ts";
import { linearScale, linearTicks, logScale, logTicks } from "./scales.ts";
import { element, escapeText } from "./svg.ts";

test("ticks are numbers that people know, within the span", () => {
  assert.deepEqual(linearTicks({ from: 0, to: 4_000_000 }, 7), [0, 1e6, 2e6, 3e6, 4e6]);
  assert.deepEqual(linearTicks({ from: 0, to: 1 }, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(linearTicks({ from: 0.3, to: 0.3 }, 5), [0.3]);
  assert.deepEqual(logTicks({ from: 1.4, to: 6 }, 11), [1.5, 2, 2.5, 3, 4, 5, 6]);
  assert.deepEqual(logTicks({ from: 0.5, to: 2_000 }, 5), [1, 10, 100, 1000]);
});

test("scales map ends to ends, the logarithmic one equal ratios to equal lengths", () => {
  const linear = linearScale({ from: 10, to: 20 }, { from: 0, to: 100 });
  assert.deepEqual([10, 15, 20].map(linear), [0, 50, 100]);
  const log = logScale({ from: 1, to: 16 }, { from: 100, to: 0 });
  assert.deepEqual(
    [1, 4, 16].map((value) => Math.round(log(value))),
    [100, 50, 0],
  );
});

test("text in markup is escaped", () => {
  assert.equal(
    escapeText(`<a href="x">&'</a>`),
    "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;",
  );
  assert.equal(
    element("rect", { x: 1 / 3, class: 'a"b', id: undefined }),
    '<rect x="0.33" class="a&quot;b"/>',
  );
});

test("bytes are drawn in their real proportion", () => {
  const count = (svg: string, name: string): number => svg.split(`class="${name}"`).length - 1;
  const picture = bytesPicture({ ours: 10, dataParallel: 2_120 }, 840);
  assert.equal(count(picture, "ours"), 1);
  assert.equal(count(picture, "theirs"), 211);
  const bars = bytesPicture({ ours: 50, dataParallel: 100 }, 840);
  assert.match(bars, /width="420" height="22" rx="3" class="ours"/);
  assert.match(bars, /width="840" height="22" rx="3" class="theirs"/);
  assert.match(bytesPicture({ ours: 0, dataParallel: 0 }, 840), /svg/);
});

test("charts have something to say about no data, one point and many", () => {
  const size = { width: 840, height: 340 };
  assert.match(lossChart({ train: [], validation: [], final: null }, size), /No loss was recorded/);
  const one = lossChart({ train: [{ tokens: 10, loss: 2 }], validation: [], final: null }, size);
  assert.doesNotMatch(one, /NaN|Infinity/);
  const points = Array.from({ length: 5_000 }, (_, i) => ({ tokens: i, loss: 1 + 1 / (i + 1) }));
  const many = lossChart({ train: points, validation: [], final: null }, size);
  assert.ok(many.length < 12_000, `${many.length} characters`);
  assert.match(roundsChart([], size), /No round was closed/);
  const bars = points.map((_, round) => ({ round, ms: 1_000, contributors: 4, late: 0 }));
  assert.ok(roundsChart(bars, size).split("<rect").length < 400);
});

const run: FrozenRun = frozenRun();

function frozenRun(): FrozenRun {
  const decoded = frozenRunDecoder({
    protocolVersion: 1,
    kernelSet: KERNEL_SET,
    name: "a <b> run",
    model: {
      vocabSize: 256,
      hiddenSize: 32,
      intermediateSize: 64,
      numHiddenLayers: 2,
      numAttentionHeads: 2,
      numKeyValueHeads: 1,
      maxPositionEmbeddings: 64,
    },
    tokenizer: "bytes",
    dataset: { files: [{ name: "a.txt", byteLength: 10, root: "00".repeat(32) }] },
    recipe: { learningRate: 0.02, batchSequences: 4, contextLength: 128, innerSteps: 10 },
    rounds: {},
    budget: { tokens: 1_000 },
    seed: 1,
    fragments: [{ name: "w", shape: [1], dtype: "f32" }],
    initialWeightsRoot: "00".repeat(32),
  });
  assert.ok(decoded.ok);
  return decoded.value;
}

function point(round: number): HistoryPoint {
  return {
    round,
    openedAt: round * 1_000,
    closedAt: round * 1_000 + 900,
    position: 0,
    tokensBefore: round * 2_048,
    tokens: (round + 1) * 2_048,
    trainLoss: 3 - round * 0.1,
    evaluationLoss: round % 2 === 0 ? 3.1 - round * 0.1 : null,
    evaluationTokens: 64,
    contributors: 4,
    late: round === 3 ? 1 : 0,
    updateBytes: 100,
    aggregateBytes: 25,
  };
}

test("the summary's comparison: 8 bytes × parameters × workers × steps", () => {
  const workers = [
    workerFixture({ workerId: "11".repeat(32), credit: 1_024, updateCount: 1 }),
    workerFixture({ workerId: "22".repeat(32), credit: 3_072, updateCount: 3 }),
    workerFixture({ workerId: "33".repeat(32), credit: 0, updateCount: 0 }),
  ];
  const status = statusFixture({ workers, tokensCommitted: 4_096, parameters: 1_000 });
  const summary = summaryOf({ status, recipe: run.recipe, evaluation: { loss: 1.5, tokens: 99 } });
  assert.equal(summary.dataParallel.globalBatchTokens, 2 * 512);
  assert.equal(summary.dataParallel.steps, 4);
  assert.equal(summary.bytesDataParallelFp32, 8 * 1_000 * 2 * 4);
  assert.equal(summary.dataParallel.bytesRingFp32, 8 * 1_000 * 4);
  assert.equal(summary.valLoss, 1.5);
  assert.deepEqual(
    summary.workers.map(({ tokens }) => tokens),
    [3_072, 1_024, 0],
  );
  const given = summaryOf({
    status,
    recipe: run.recipe,
    evaluation: null,
    globalBatchTokens: 2_048,
  });
  assert.equal(given.dataParallel.steps, 2);
  assert.equal(given.valLoss, null);
});

test("the report stands alone: no script, nothing fetched, names escaped", () => {
  const status = statusFixture({ name: run.name });
  const summary = summaryOf({
    status,
    recipe: run.recipe,
    evaluation: { loss: 1.5421, tokens: 9 },
  });
  const html = reportHtml({
    summary,
    run,
    points: Array.from({ length: 8 }, (_, round) => point(round)),
    sample: { prompt: "ROMEO:", text: " <i>hark</i>" },
    accounts: null,
    folder: "runs/x",
  });
  assert.doesNotMatch(html, /<script|https?:|url\(|@import|NaN|Infinity|undefined/);
  assert.match(html, /a &lt;b&gt; run/);
  assert.match(html, / &lt;i&gt;hark&lt;\/i&gt;/);
  assert.match(html, /1\.542/);
  assert.match(html, /npx manyhands verify runs\/x/);
  assert.match(html, /prefers-color-scheme: dark/);
});

test("a run that pays tells who has earned what, and whose tokens wait for an account", () => {
  const accounts = {
    accounts: [
      { account: `0x${"12".repeat(20)}`, devices: ["<ada>"], units: 9_007_199_254_740_993n },
    ],
    unnamed: [{ device: "dan", tokens: 4_096 }],
    unscored: 12_345,
  };
  const html = paySection({ ...run, pay: TEST_PAY }, accounts, "runs/x");
  assert.match(html, /0x(12){20}[\s\S]*&lt;ada&gt;[\s\S]*9007199254740993</);
  assert.match(html, /dan has named no account:\s4\D?096 tokens wait/);
  assert.match(html, /12\D?345 accepted tokens wait for their validators’\s+scores/);
  assert.equal(paySection(run, accounts, "runs/x"), "");
});
