// The dashboard of a long run, while it goes on: 10,000 closed rounds, 1,000 devices, four new
// rounds a second. Frames and the main thread's long tasks in a real Chromium, at full speed and
// with the processor slowed to a phone's. Writes bench/results/watch.md.
// Usage: npm run bench:watch [-- seconds]
import { writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { chromium, type Page } from "playwright-core";
import { FEW_HANDS } from "../apps/web/src/testing/hands.ts";
import { PretendRun } from "../apps/web/src/testing/pretend-run.ts";
import { GUEST_TOKEN, startPretendServer } from "../apps/web/src/testing/pretend-server.ts";
import { withThousand } from "../apps/web/src/testing/shots.ts";

const ROOT = join(import.meta.dirname, "..");
const SECONDS = Number(process.argv[2] ?? 20);
const ROUNDS = 10_000;
const ROUND_MS = 250;

/** What a screen did while it was watched. */
type Row = {
  readonly screen: string;
  readonly slowed: number;
  readonly loadTaskMs: number;
  readonly liveTaskMs: number;
  readonly frames: number;
  readonly median: number;
  readonly p99: number;
  readonly longest: number;
};

const WATCH = `
  globalThis.tasks = [];
  globalThis.frames = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) tasks.push(duration);
  }).observe({ type: "longtask", buffered: true });
  let before = performance.now();
  requestAnimationFrame(function draw(now) {
    frames.push(now - before);
    before = now;
    requestAnimationFrame(draw);
  });
`;

async function numbers(page: Page, name: "tasks" | "frames"): Promise<readonly number[]> {
  return (await page.evaluate(`${name}.splice(0)`)) as readonly number[];
}

/** A person who scrolls through the lists and the page. */
async function scrollAbout(page: Page, seconds: number): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  for (let turn = 0; performance.now() < until; turn++) {
    await page.mouse.wheel(0, turn % 8 < 4 ? 400 : -400);
    await page.waitForTimeout(120);
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

type Place = { readonly screen: string; readonly url: string; readonly slowed: number };

async function measure({ screen, url, slowed }: Place): Promise<Row> {
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  try {
    const viewport = slowed > 1 ? { width: 390, height: 844 } : { width: 1_280, height: 800 };
    const person = await browser.newContext({ viewport, serviceWorkers: "block" });
    await person.addInitScript(WATCH);
    const page = await person.newPage();
    const session = await person.newCDPSession(page);
    await session.send("Emulation.setCPUThrottlingRate", { rate: slowed });
    await page.goto(url);
    await page
      .getByText(/^Hand \d+$/)
      .first()
      .waitFor({ timeout: 60_000 });
    await page.waitForTimeout(3_000);
    const loadTaskMs = Math.max(0, ...(await numbers(page, "tasks")));
    await numbers(page, "frames");
    await page.mouse.move(200, 400);
    await scrollAbout(page, SECONDS);
    const tasks = await numbers(page, "tasks");
    const frames = (await numbers(page, "frames")).toSorted((a, b) => a - b);
    return {
      screen,
      slowed,
      loadTaskMs,
      liveTaskMs: Math.max(0, ...tasks),
      frames: frames.length,
      median: at(frames, 0.5),
      p99: at(frames, 0.99),
      longest: at(frames, 1),
    };
  } finally {
    await browser.close();
  }
}

function tableOf(rows: readonly Row[]): string {
  const head = [
    "screen",
    "processor",
    "longest task, opening, ms",
    "longest task, live, ms",
    "frames",
    "median frame, ms",
    "99 % of frames within, ms",
    "longest frame, ms",
  ];
  const lines = rows.map((row) => [
    row.screen,
    row.slowed === 1 ? "as it is" : `slowed ${row.slowed} ×`,
    row.loadTaskMs.toFixed(0),
    row.liveTaskMs.toFixed(0),
    `${row.frames}`,
    row.median.toFixed(1),
    row.p99.toFixed(1),
    row.longest.toFixed(1),
  ]);
  return [head, head.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

const load = loadavg()[0]?.toFixed(1);
const startedAt = performance.now();
const run = new PretendRun({ hands: FEW_HANDS, rounds: 30, name: "long", end: "training" });
const closed = (): number => ROUNDS + Math.floor((performance.now() - startedAt) / ROUND_MS);
const pretence = { run, status: withThousand, stretched: ROUNDS + 100_000, closed };
const server = await startPretendServer([pretence], join(ROOT, ".cache/page-of-screens"));
try {
  const rows: Row[] = [];
  for (const slowed of [1, 4]) {
    for (const screen of ["watch", "people"]) {
      const url = `${server.url}/runs/${run.runId}/${screen}#${GUEST_TOKEN}`;
      rows.push(await measure({ screen, url, slowed }));
    }
  }
  const text = `# The dashboard of a long run, live

\`npm run bench:watch -- ${SECONDS}\` on ${cpus().length} × ${cpus()[0]?.model}, headless
Chromium, ${SECONDS} s of scrolling. ${ROUNDS} closed rounds, 1,000 devices,
${1_000 / ROUND_MS} new rounds a second; the server is on the same machine, whose load before was
${load}. A long task is one of the main thread above 50 ms; 0: there was none. A frame every
16.7 ms is as smooth as this screen gets.

${tableOf(rows)}
`;
  await writeFile(join(ROOT, "bench/results/watch.md"), text);
  process.stdout.write(text);
} finally {
  await server.close();
}
