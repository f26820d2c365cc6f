// A device in a real browser, measured: opening a link to the first accepted update, tokens per
// second with one and several threads, bytes loaded, memory of the page. On the bare page, WASM,
// the demo's model; one worker, power 1. Not the interface: its weight and its frames are its own.
//
// Usage: node bench/device.ts [seconds]   writes bench/results/device.md; needs Debian's chromium
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { type Coordinator, startCoordinator } from "@manyhands/coordinator/serve";
import type { Device, DeviceView } from "@manyhands/worker/browser/device-view";
import { prepareRun } from "manyhands/run-file/freeze";
import { loadRunFile } from "manyhands/run-file/load-run-file";
import type { Browser, Page } from "playwright-core";
import { buildBarePage, startChromium } from "../test/browser/bare-site.ts";
import { oneMoreUpdate, open, start } from "../test/browser/person.ts";

declare const device: Device;
declare const views: DeviceView[];

const ROOT = join(import.meta.dirname, "..");
const RUN_FILE = join(ROOT, "examples/shakespeare/run.yaml");
const SECONDS = Number(process.argv[2] ?? 60);

/** What else went on: above 1 the numbers are those of a busy machine. */
const LOAD = loadavg()[0]?.toFixed(1);

type Row = {
  readonly threads: number;
  readonly firstUpdateMs: number;
  readonly againMs: number;
  readonly tokensPerSecond: number;
  readonly bytesUsed: number;
  readonly heapBytes: number;
  readonly longestTaskMs: number;
};

async function host(folder: string, page: string): Promise<Coordinator> {
  const prepared = prepareRun(await loadRunFile(RUN_FILE), { workers: 1, tokens: 500_000_000 });
  const { run, initialWeights: weights, files } = prepared;
  return startCoordinator({ runFolder: folder, create: { run, weights, files }, page });
}

/** Long tasks of the main thread, which only draws nothing here: what the device costs it. */
const WATCH = `
  globalThis.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
  }).observe({ entryTypes: ["longtask"] });
`;

async function measure(browser: Browser, page: string, threads: number): Promise<Row> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-bench-"));
  const coordinator = await host(join(folder, "out"), page);
  const person = await browser.newContext();
  await person.addInitScript(WATCH);
  try {
    const tab = await open(person, coordinator, `?threads=${threads}`);
    await start(tab, coordinator, { dataBytesPerDay: null });
    const { firstUpdateMs } = await oneMoreUpdate(tab);
    const tokensPerSecond = await speed(tab);
    const { bytesUsed } = await tab.evaluate(() => device.view());
    const heapBytes = await memoryOf(tab);
    const longestTaskMs = await tab.evaluate<number>("longest");
    await tab.reload();
    await tab.waitForFunction("globalThis.device !== undefined");
    await tab.evaluate((url) => device.look(url), coordinator.joinUrl);
    await tab.waitForFunction(() => views.some((view) => view.firstUpdateMs !== null), null, {
      timeout: 120_000,
    });
    const again = await tab.evaluate(() => device.view().firstUpdateMs);
    return {
      threads,
      firstUpdateMs: firstUpdateMs ?? Number.NaN,
      againMs: again ?? Number.NaN,
      tokensPerSecond,
      bytesUsed,
      heapBytes,
      longestTaskMs,
    };
  } finally {
    await person.close();
    await coordinator.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Tokens of accepted updates per second: exchanges included. */
async function speed(tab: Page): Promise<number> {
  const begin = await oneMoreUpdate(tab);
  const startedAt = performance.now();
  await tab.waitForTimeout(SECONDS * 1_000);
  const end = await oneMoreUpdate(tab);
  return ((end.tokens - begin.tokens) * 1_000) / (performance.now() - startedAt);
}

/** All of the page's agents: main thread, device thread, the runtime's threads. */
async function memoryOf(tab: Page): Promise<number> {
  const bytes = await tab.evaluate(async () => {
    const measured: unknown = Reflect.get(performance, "measureUserAgentSpecificMemory");
    if (typeof measured !== "function") return Number.NaN;
    return (await measured.call(performance)).bytes as number;
  });
  return bytes;
}

const COLUMNS = [
  "threads",
  "first update after navigation, s",
  "again after a reload, s",
  "tokens/s",
  "MB sent and received",
  "MB of memory",
  "longest task of the main thread, ms",
];

function report(rows: readonly Row[]): string {
  const lines = rows.map((row) =>
    [
      row.threads,
      (row.firstUpdateMs / 1_000).toFixed(1),
      (row.againMs / 1_000).toFixed(1),
      row.tokensPerSecond.toFixed(0),
      (row.bytesUsed / 1e6).toFixed(1),
      Number.isNaN(row.heapBytes) ? "not told" : (row.heapBytes / 1e6).toFixed(0),
      row.longestTaskMs.toFixed(0),
    ].join(" | "),
  );
  const machine = `${cpus()[0]?.model ?? "an unknown processor"} × ${cpus().length}`;
  return `# A device in Chromium

\`node bench/device.ts ${SECONDS}\` on ${machine}, headless Chromium, WASM,
the demo's model (examples/shakespeare/run.yaml, 820k parameters), one worker, power
1. Coordinator and browser share the processors; their load before it began was ${LOAD}.

| ${COLUMNS.join(" | ")} |
|${COLUMNS.map(() => "---").join("|")}|
${lines.map((line) => `| ${line} |`).join("\n")}

Bytes are bodies of blobs and messages, and the runtime as it is told to weigh; memory is what
\`performance.measureUserAgentSpecificMemory\` tells of an isolated page: heaps and WASM memory. A
task of 0 ms: none was longer than 50 ms.
`;
}

const page = await buildBarePage();
const browser = await startChromium();
try {
  const rows = [await measure(browser, page, 1), await measure(browser, page, 2)];
  const text = report(rows);
  await writeFile(join(ROOT, "bench/results/device.md"), text);
  console.log(text);
} finally {
  await browser.close();
  await rm(page, { recursive: true, force: true });
}
