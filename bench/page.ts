// The page's numbers, in a real Chromium beside a real `manyhands up`: how soon, how fast, how many
// bytes, how smooth, how much memory. Writes bench/results/page.{json,md}.
// Usage: npm run build && npm run bench:page [-- --minutes 10]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
const ROOT = join(import.meta.dirname, "..");
const RESULTS = join(import.meta.dirname, "results");
const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const SHORT_MINUTES = 1;
const PATIENCE_MS = 120_000;
const TOLD_MS = 2_000;

type Row = {
  readonly threads: 1 | 2;
  readonly minutes: number;
  /** From navigation; the person's click is at once. */
  readonly firstStepSeconds: number;
  readonly firstUpdateSeconds: number;
  readonly tokensPerSecond: number;
  /** Over the wire until the first update, all of the page's requests. */
  readonly bytesLoaded: number;
  /** Of the main thread: until the first update, and after it. */
  readonly openingTaskMs: number;
  readonly trainingTaskMs: number;
  /** Of the first minute, by the thread's own time: other people's work does not lengthen it. */
  readonly trainingTaskCpuMs: number;
  /** Of the machine, in the mean of the minutes: above its cores, others had them too. */
  readonly load: number;
  readonly memoryAtStartMB: number;
  readonly memoryAtEndMB: number;
};

/** The demo's run for one worker, as long as it takes. */
async function openRun(folder: string): Promise<{ link: string; close: () => Promise<void> }> {
  const demo = await readFile(join(ROOT, "examples/shakespeare/run.yaml"), "utf8");
  await writeFile(
    join(folder, "run.yaml"),
    demo
      .replace("workersMin: 4", "workersMin: 1")
      .replace("tokens: 5000000", "tokens: 500000000")
      .replace("minutes: 4.6", "minutes: 600"),
  );
  const text = await readFile(join(ROOT, "examples/shakespeare/input.txt"));
  await writeFile(join(folder, "input.txt"), text);
  const binary = join(ROOT, "packages/cli/bin/manyhands.mjs");
  const out = join(folder, "out");
  const args = [binary, "up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  const link = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (piece: string) => {
      said += piece;
      const [, found] = /npx \S+ join '(\S+)'/.exec(said) ?? [];
      if (found !== undefined) resolve(found);
    });
    child.once("close", () => reject(new Error(`it opened no run: ${said}`)));
  });
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  };
  return { link, close };
}

/** A browser that may use so many cores, and so tells its pages. */
async function startBrowser(folder: string, cores: number): Promise<Browser> {
  const program = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  const script = join(folder, `chromium-${cores}`);
  await writeFile(script, `#!/bin/sh\nexec taskset -c 0-${cores - 1} ${program} "$@"\n`, {
    mode: 0o700,
  });
  return chromium.launch({ executablePath: script, args: FLAGS });
}

async function memoryMB(person: BrowserContext, page: Page): Promise<number> {
  const session = await person.newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { bytes } = (await page.evaluate("performance.measureUserAgentSpecificMemory()")) as {
    readonly bytes: number;
  };
  return bytes / 1e6;
}

async function measure(threads: 1 | 2, minutes: number): Promise<Row> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-bench-page-"));
  const say = (text: string): void => void process.stderr.write(`${threads} thread(s): ${text}\n`);
  const browser = await startBrowser(folder, threads);
  const run = await openRun(folder);
  const person = await browser.newContext({ viewport: { width: 390, height: 844 } });
  try {
    const page = await person.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const session = await person.newCDPSession(page);
    await session.send("Network.enable");
    let bytesLoaded = 0;
    page.on("requestfinished", async (request) => {
      bytesLoaded += (await request.sizes().catch(() => null))?.responseBodySize ?? 0;
    });
    await page.addInitScript(`
      globalThis.longest = 0;
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
      }).observe({ type: "longtask", buffered: true });
    `);
    const start = performance.now();
    const seconds = (): number => (performance.now() - start) / 1000;
    await page.goto(run.link.replace("#", "?compute=wasm#"));
    await page.getByRole("button", { name: /^(Train with this device|Try it)$/ }).click();
    await page
      .getByText(/step [1-9]\d* of \d+/)
      .first()
      .waitFor();
    const firstStepSeconds = seconds();
    say(`first step after ${firstStepSeconds.toFixed(1)} s`);
    await page.getByText("First update after").waitFor();
    const firstUpdateSeconds = seconds();
    say(`first update after ${firstUpdateSeconds.toFixed(1)} s; training for ${minutes} min`);
    const bytesUntilUpdate = bytesLoaded;
    // Before memory is asked for: that collects all garbage at once, which is a task too.
    const openingTaskMs = Number(await page.evaluate("longest"));
    const memoryAtStartMB = await memoryMB(person, page);
    // That task is told a little later.
    await page.waitForTimeout(TOLD_MS);
    const training = await watchTraining(page, run.link, minutes);
    const memoryAtEndMB = await memoryMB(person, page);
    return {
      threads,
      minutes,
      firstStepSeconds,
      firstUpdateSeconds,
      bytesLoaded: bytesUntilUpdate,
      openingTaskMs,
      ...training,
      memoryAtStartMB,
      memoryAtEndMB,
    };
  } finally {
    await browser.close();
    await run.close();
    await rm(folder, { recursive: true, force: true });
  }
}

type TraceEvent = {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Of the thread's own time on a processor, in µs. */
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
};

/** The longest task of any page's main thread by the thread's own time. */
function longestCpuMs(trace: Buffer): number {
  const { traceEvents } = JSON.parse(trace.toString("utf8")) as { traceEvents: TraceEvent[] };
  const threads = new Set<string>();
  for (const { name, pid, tid, args } of traceEvents) {
    if (name === "thread_name" && args?.name === "CrRendererMain") threads.add(`${pid} ${tid}`);
  }
  let longest = 0;
  for (const { name, pid, tid, tdur = 0 } of traceEvents) {
    if (!/RunTask$/.test(name) || !threads.has(`${pid} ${tid}`)) continue;
    longest = Math.max(longest, tdur / 1000);
  }
  if (threads.size === 0) throw new Error("the trace has no main thread");
  return longest;
}

type Training = Pick<Row, "tokensPerSecond" | "trainingTaskMs" | "trainingTaskCpuMs" | "load">;

async function watchTraining(page: Page, link: string, minutes: number): Promise<Training> {
  const browser = page.context().browser();
  if (!browser) throw new Error("the page's browser is gone");
  await page.evaluate("longest = 0");
  const before = await statusOf(link);
  await browser.startTracing(page, { categories: ["toplevel"] });
  let load = 0;
  let trainingTaskCpuMs = 0;
  for (let minute = 0; minute < minutes; minute++) {
    await page.waitForTimeout(60_000);
    load += (loadavg()[0] ?? 0) / minutes;
    // A trace's buffer holds a minute or two.
    if (minute === 0) trainingTaskCpuMs = longestCpuMs(await browser.stopTracing());
  }
  const after = await statusOf(link);
  const trainingTaskMs = Number(await page.evaluate("longest"));
  const tokensPerSecond = (after - before) / (minutes * 60);
  return { tokensPerSecond, trainingTaskMs, trainingTaskCpuMs, load };
}

/** Tokens of the run so far. */
async function statusOf(link: string): Promise<number> {
  const response = await fetch(link.split("#")[0] ?? "");
  const { tokensCommitted } = (await response.json()) as { readonly tokensCommitted: number };
  return tokensCommitted;
}

function tableOf(rows: readonly Row[]): string {
  const head = [
    "threads",
    "minutes",
    "first step, s",
    "first accepted update, s",
    "tokens/s",
    "bytes until then, MB",
    "longest main-thread task, opening, ms",
    "longest, training, ms",
    "by its own CPU time, ms",
    "memory at the start, MB",
    "memory at the end, MB",
    "load",
  ];
  const lines = rows.map((row) => [
    `${row.threads}`,
    `${row.minutes}`,
    row.firstStepSeconds.toFixed(1),
    row.firstUpdateSeconds.toFixed(1),
    row.tokensPerSecond.toFixed(0),
    (row.bytesLoaded / 1e6).toFixed(1),
    row.openingTaskMs.toFixed(0),
    row.trainingTaskMs.toFixed(0),
    row.trainingTaskCpuMs.toFixed(0),
    row.memoryAtStartMB.toFixed(0),
    row.memoryAtEndMB.toFixed(0),
    row.load.toFixed(1),
  ]);
  return [head, head.map(() => "---"), ...lines]
    .map((line) => `| ${line.join(" | ")} |`)
    .join("\n");
}

const rows = [
  await measure(1, SHORT_MINUTES),
  await measure(2, SHORT_MINUTES),
  await measure(2, Number(values.minutes)),
];
const machine = `${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
const date = new Date().toISOString().slice(0, 10);
const text = `# The page, training in a tab

\`npm run bench:page\` on ${machine}, headless Chromium, ${date}.
The demo's model (0.82M parameters) on WebAssembly, one device in the run, coordinator on the same
machine. From navigation; the click on the button is at once. With one thread the whole browser has
one core.

${tableOf(rows)}

Goals: first accepted update within 15 s; no main-thread task above 100 ms while training. A task of
0 ms: none was above 50 ms. Tokens per second are those of a person's defaults (70 % of the time,
and less where steps become slow, as they do when other work has the cores: see the load, of which
the page's own threads and the coordinator are 1 to 2.5). A task's own CPU time is from a trace of
the first minute: a task waits, too, while others have the cores, and with one thread training has.
`;
const report = { command: "npm run bench:page", machine, date, rows };
await writeFile(join(RESULTS, "page.json"), `${JSON.stringify(report, null, 2)}\n`);
await writeFile(join(RESULTS, "page.md"), text);
process.stdout.write(text);
