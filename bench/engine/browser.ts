// Training in a page: ours with WASM and two threads, beside jax-js and a plain ONNX graph, in
// turns, in a headless, cross-origin isolated Chromium: npm run bench:browser
//   -- [--turns 20] [--steps 2] [--threads 2] [--write]
//      [--engines manyhands,plain graph,jax-js,products alone]
// --write keeps the table in bench/results/engine-browser.{json,md}.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { type Browser, chromium, type Page } from "playwright-core";
import type { PageApi, PageEngine } from "./browser/page.ts";
import { type Site, startSite } from "./browser/site.ts";
import { median } from "./compare.ts";
import { install } from "./engines.ts";
import { type Job, MODELS, writeJob } from "./models.ts";
import { markdownTable } from "./report.ts";

declare const bench: PageApi;

const { values } = parseArgs({
  options: {
    turns: { type: "string", default: "20" },
    steps: { type: "string", default: "2" },
    threads: { type: "string", default: "2" },
    engines: { type: "string", default: "manyhands,plain graph,jax-js,products alone" },
    write: { type: "boolean", default: false },
  },
});
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const threads = Number(values.threads);
const LOSS_TOLERANCE = 1e-3;
const LOSSES_COMPARED = 10;
const BOUND: PageEngine = "products alone";

type Running = {
  readonly engine: PageEngine;
  readonly page: Page;
  readonly startSeconds: number;
  readonly turns: number[];
  readonly losses: number[];
};

async function open(browser: Browser, site: Site, engine: PageEngine, job: Job): Promise<Running> {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  const start = performance.now();
  await page.goto(site.url);
  await page.waitForFunction("globalThis.bench !== undefined");
  if (!(await page.evaluate(() => bench.isolated))) throw new Error("the page is not isolated");
  await page.evaluate(([name, given]) => bench.init(name, given), [engine, job] as const);
  const { losses } = await page.evaluate(() => bench.steps(1));
  const startSeconds = (performance.now() - start) / 1000;
  return { engine, page, startSeconds, turns: [], losses: [...losses] };
}

async function takeTurns(running: readonly Running[]): Promise<void> {
  for (let turn = 0; turn < Number(values.turns); turn++) {
    // Each turn in another order, as in compare.ts; the first, in which code gets hot, is let go.
    for (const own of turn % 2 === 0 ? running : running.toReversed()) {
      await own.page.bringToFront();
      const { ms, losses } = await own.page.evaluate(
        (count) => bench.steps(count),
        Number(values.steps),
      );
      if (turn > 0) own.turns.push(median(ms));
      own.losses.push(...losses);
      say(`  ${own.engine}: ${median(ms).toFixed(0)} ms`);
    }
  }
}

function agree(losses: readonly number[], expected: readonly number[]): boolean {
  return losses.slice(0, LOSSES_COMPARED).every((loss, i) => {
    const other = expected[i] ?? Number.NaN;
    return Math.abs(loss - other) <= LOSS_TOLERANCE * other;
  });
}

function rowsOf(running: readonly Running[], tokens: number): readonly Row[] {
  const [ours] = running;
  return running.map(({ engine, turns, losses, startSeconds }) => ({
    engine,
    threads,
    stepMs: Number(median(turns).toFixed(0)),
    fastestMs: Number(Math.min(...turns).toFixed(0)),
    tokensPerSecond: Math.round((tokens * 1000) / median(turns)),
    oursIsFaster: Number((median(turns) / median(ours?.turns ?? [])).toFixed(2)),
    startSeconds: Number(startSeconds.toFixed(1)),
    lossesAgree: engine === BOUND ? undefined : agree(losses, ours?.losses ?? []),
  }));
}

type Row = {
  readonly engine: string;
  readonly tokensPerSecond: number;
  readonly stepMs: number;
  readonly fastestMs: number;
  readonly oursIsFaster: number;
  readonly startSeconds: number;
  readonly lossesAgree: boolean | undefined;
};

function markdown(report: { readonly about: string; readonly rows: readonly Row[] }): string {
  const head = [
    "engine",
    "tokens/s",
    "ms a step",
    "fastest turn",
    "ours is faster by",
    "start-up s",
    "losses agree",
  ];
  const cells = report.rows.map((row) => [
    row.engine,
    row.tokensPerSecond,
    row.stepMs,
    row.fastestMs,
    `${row.oursIsFaster.toFixed(2)} ×`,
    row.startSeconds,
    row.lossesAgree === undefined ? "–" : row.lossesAgree ? "yes" : "NO",
  ]);
  return ["# Training in a page", "", report.about, "", markdownTable(head, cells)].join("\n");
}

const model = MODELS.find(({ name, shape }) => name === "small" && shape === "llama");
if (!model) throw new Error("there is a small Llama");
install(say);
const folder = await mkdtemp(join(tmpdir(), "manyhands-bench-browser-"));
const site = await startSite(folder);
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
  ],
});
try {
  const files = await writeJob(model, threads, folder);
  const url = (path: string): string => `/files/${basename(path)}`;
  const job = { ...files, weightsFile: url(files.weightsFile), tokensFile: url(files.tokensFile) };
  const running: Running[] = [];
  for (const engine of values.engines.split(",") as PageEngine[]) {
    running.push(await open(browser, site, engine, job));
    say(`${engine} has started, ${running.at(-1)?.startSeconds.toFixed(1)} s`);
  }
  await takeTurns(running);
  const tokens = model.batch.sequences * model.batch.contextLength;
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  const about = [
    `\`npm run bench:browser -- ${process.argv.slice(2).join(" ")}\` on ${cpus().length} ×`,
    `${cpus()[0]?.model}, ${gibibytes} GiB, headless Chromium ${browser.version()},`,
    `${new Date().toISOString().slice(0, 10)}. small llama, ${threads} threads, a full step with`,
    "AdamW, WASM, in cross-origin isolated pages that take turns; medians of turns. *products",
    "alone*: the matrix products of a step and nothing else, by the same runtime.",
  ].join("\n");
  const report = { about, rows: rowsOf(running, tokens) };
  process.stdout.write(`${markdown(report)}\n`);
  if (values.write) {
    const target = "bench/results/engine-browser";
    await writeFile(`${target}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(`${target}.md`, `${markdown(report)}\n`);
  }
} finally {
  await browser.close();
  await site.close();
  await rm(folder, { recursive: true, force: true });
}
