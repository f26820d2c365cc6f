// How long the probe takes, in Node and in a headless Chromium: the first answer, and what it knows
// when asked again; with a software GPU, which takes longest to answer.
//   npm run bench:probe -- [--rounds 5] [--write]    (--write keeps bench/results/probe.md)
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { nodeProbe } from "@manyhands/engine/probe/node";
import { type ProbeReport, probe } from "@manyhands/engine/probe/probe";
import { chromium } from "playwright-core";
import type { PageApi, TimedProbe } from "./engine/browser/page.ts";
import { startSite } from "./engine/browser/site.ts";
import { median } from "./engine/compare.ts";
import { markdownTable } from "./engine/report.ts";

declare const bench: PageApi;

const { values } = parseArgs({
  options: {
    child: { type: "string" },
    rounds: { type: "string", default: "5" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
/** Longer than any backend here takes to answer. */
const SETTLE_MS = 20_000;

/** A fresh process, which asks twice: at its start, and when all backends have answered. */
type Asked = { readonly first: TimedProbe; readonly later: TimedProbe };

async function timed(folder: string): Promise<TimedProbe> {
  const start = performance.now();
  const report = await probe(nodeProbe(folder));
  return { ms: performance.now() - start, report };
}

function isKnown({ backends }: ProbeReport): boolean {
  return Object.values(backends).every(({ status }) => status !== "untried");
}

async function untilKnown(ask: () => Promise<TimedProbe>): Promise<Asked> {
  const first = await ask();
  const end = performance.now() + SETTLE_MS;
  let later = await ask();
  while (!isKnown(later.report) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    later = await ask();
  }
  return { first, later: isKnown(later.report) ? await ask() : later };
}

async function inNode(): Promise<readonly Asked[]> {
  return Array.from({ length: rounds }, () => {
    const folder = mkdtempSync(join(tmpdir(), "manyhands-bench-probe-"));
    const script = process.argv[1] ?? "";
    const output = execFileSync(process.execPath, [script, "--child", folder], {
      encoding: "utf8",
    });
    rmSync(folder, { recursive: true });
    return JSON.parse(output) as Asked;
  });
}

async function inChromium(): Promise<{ readonly version: string; readonly asked: Asked[] }> {
  const site = await startSite(tmpdir());
  const args = [
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
  ];
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args });
  const asked: Asked[] = [];
  for (let round = 0; round < rounds; round++) {
    // A context of its own remembers nothing of the last.
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(0);
    await page.goto(site.url);
    await page.waitForFunction("globalThis.bench !== undefined");
    asked.push(await untilKnown(() => page.evaluate(() => bench.probe())));
    await context.close();
  }
  const version = browser.version();
  await browser.close();
  await site.close();
  return { version, asked };
}

function words(report: ProbeReport): string {
  const parts = Object.entries(report.backends).map(([name, backend]) => {
    if (backend.status !== "works") return `${name}: ${backend.status}`;
    const { flopsPerSecond, startMs } = backend;
    return `${name}: ${Number((flopsPerSecond / 1e9).toPrecision(2))} GFLOP/s after ${startMs} ms`;
  });
  const mebibytes = Math.round(report.memoryBytesMax / 2 ** 20);
  return `${parts.join("; ")}; best ${report.best ?? "none yet"}; ${mebibytes} MiB`;
}

function row(where: string, asked: readonly Asked[]): readonly string[] {
  const firsts = asked.map(({ first }) => first.ms);
  const last = asked.at(-1);
  if (last === undefined) return [where];
  return [
    where,
    `${median(firsts).toFixed(0)} (${Math.max(...firsts).toFixed(0)})`,
    words(last.first.report),
    median(asked.map(({ later }) => later.ms)).toFixed(1),
    words(last.later.report),
  ];
}

async function main(): Promise<void> {
  const node = row("Node", await inNode());
  const { version, asked } = await inChromium();
  const page = row("Chromium, cross-origin isolated", asked);
  const head = ["where", "first answer, ms: median (worst)", "what it knows then"];
  const about = [
    `\`npm run bench:probe -- --rounds ${rounds}\` on ${cpus().length} × ${cpus()[0]?.model},`,
    `${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version},`,
    `headless Chromium ${version}, ${new Date().toISOString().slice(0, 10)}.`,
    "A fresh process or context per round, nothing remembered; WebGPU is a software adapter",
    "(Chromium) or absent (Node).",
  ].join("\n");
  const table = markdownTable([...head, "asked again, ms", "what it remembers"], [node, page]);
  const text = ["# The probe", "", about, "", table].join("\n");
  process.stdout.write(`${text}\n`);
  if (values.write) writeFileSync("bench/results/probe.md", `${text}\n`);
}

if (values.child === undefined) {
  await main();
} else {
  const { child } = values;
  process.stdout.write(JSON.stringify(await untilKnown(() => timed(child))));
  process.exit(0);
}
