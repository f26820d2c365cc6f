// What does a swarm lose, and what does it save? One worker synchronously, the bar (one worker
// alone on a quarter of the tokens), 4 and 8 workers: equal tokens, one init, real processes and
// sockets.
//   npm run bench:swarm -- [--tokens N] [--seed N] [--rows bar,4,8] [--json FILE]
import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { assert } from "@manyhands/base/assert";
import type { Summary } from "manyhands/run/summary";

/**
 * Tokens of a step of the tuned synchronous run: the global batch of the data-parallel baseline.
 */
const GLOBAL_BATCH_TOKENS = 2_048;
const CONTEXT = 128;
/**
 * Tokens of all workers in one inner step: the same in every swarm, so that rounds are equally
 * long.
 */
const SWARM_STEP_TOKENS = 4_096;

type Row = {
  readonly row: string;
  readonly workers: number;
  readonly tokens: number;
  readonly valLoss: number;
  ratioToSynchronous: number;
  gapRecovered: number | null;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly bytesDataParallelFp32: number;
  readonly bytesRingFp32: number;
  readonly timesFewerBytes: number | null;
  readonly rounds: number;
};

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "3000000" },
    seed: { type: "string", default: "1" },
    rows: { type: "string", default: "bar,4,8" },
    json: { type: "string" },
  },
});
const tokens = Number(values.tokens);
const folder = await mkdtemp(join(tmpdir(), "manyhands-bench-"));
await cp("examples/shakespeare/input.txt", join(folder, "input.txt"));

try {
  const rows = await measure(values.rows.split(","));
  compare(rows);
  const command = `npm run bench:swarm -- --tokens ${tokens} --seed ${values.seed}`;
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`;
  const report = { command, machine, date: new Date().toISOString().slice(0, 10), rows };
  if (values.json) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(table(rows));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(wanted: readonly string[]): Promise<Row[]> {
  const file = await runFile(4);
  say(`one worker synchronously, ${tokens} tokens; beside it the bar, a quarter of them`);
  const alone = (sequences: number, share: number): Promise<{ tokens: number; valLoss: number }> =>
    jsonOf("bench/synchronous.ts", [
      ...[file, "--sequences", String(sequences), "--tokens", String(tokens * share)],
      ...["--seed", values.seed],
    ]);
  const [synchronous, bar] = await Promise.all([
    alone(GLOBAL_BATCH_TOKENS / CONTEXT, 1),
    wanted.includes("bar") ? alone(SWARM_STEP_TOKENS / 4 / CONTEXT, 1 / 4) : null,
  ]);
  const rows = [aloneRow("synchronous", synchronous)];
  if (bar) rows.push(aloneRow("bar: one alone, 1/4 of the tokens", bar));
  for (const workers of wanted.map(Number).filter((count) => count > 0)) {
    say(`${workers} workers`);
    rows.push(await swarmRow(workers));
  }
  return rows;
}

/** The demo's run file with this benchmark's budget, and the batch that this many workers share. */
async function runFile(workers: number): Promise<string> {
  const demo = await readFile("examples/shakespeare/run.yaml", "utf8");
  const sequences = SWARM_STEP_TOKENS / CONTEXT / workers;
  const text = demo
    .replace(/^( {2}tokens:).*$/m, `$1 ${tokens}`)
    .replace(/^ {2}minutes:.*\n/m, "")
    .replace(/^( {2}batchSequences:).*$/m, `$1 ${sequences}`);
  assert(text !== demo, "the demo's run file has the fields that this benchmark sets");
  const path = join(folder, `run-${workers}.yaml`);
  await writeFile(path, text);
  return path;
}

async function swarmRow(workers: number): Promise<Row> {
  const out = join(folder, `swarm-${workers}`);
  const flags = ["--workers", String(workers), "--seed", values.seed, "--port", "0", "--out", out];
  await jsonOf("packages/cli/bin/manyhands.mjs", [
    "run",
    await runFile(workers),
    ...flags,
    "--json",
  ]);
  const summary = JSON.parse(await readFile(join(out, "summary.json"), "utf8")) as Summary;
  assert(summary.valLoss !== null, "a finished run has a validation loss");
  const steps = summary.tokens / GLOBAL_BATCH_TOKENS;
  const bytesDataParallelFp32 = Math.round(8 * summary.parameters * workers * steps);
  const { bytesUp, bytesDown } = summary;
  return {
    row: `${workers} workers`,
    workers,
    tokens: summary.tokens,
    valLoss: summary.valLoss,
    ratioToSynchronous: Number.NaN,
    gapRecovered: null,
    bytesUp,
    bytesDown,
    bytesDataParallelFp32,
    bytesRingFp32: Math.round(8 * summary.parameters * (workers - 1) * steps),
    timesFewerBytes: bytesDataParallelFp32 / (bytesUp + bytesDown),
    rounds: summary.rounds,
  };
}

function aloneRow(row: string, result: { tokens: number; valLoss: number }): Row {
  return {
    row,
    workers: 1,
    tokens: result.tokens,
    valLoss: result.valLoss,
    ratioToSynchronous: Number.NaN,
    gapRecovered: null,
    bytesUp: 0,
    bytesDown: 0,
    bytesDataParallelFp32: 0,
    bytesRingFp32: 0,
    timesFewerBytes: null,
    rounds: 0,
  };
}

/** Gap recovered = (bar − loss) ÷ (bar − synchronous). */
function compare(rows: readonly Row[]): void {
  const synchronous = rows[0]?.valLoss ?? Number.NaN;
  const bar = rows.find((row) => row.row.startsWith("bar"))?.valLoss;
  for (const row of rows) {
    row.ratioToSynchronous = row.valLoss / synchronous;
    if (bar !== undefined && row.rounds > 0) {
      row.gapRecovered = (bar - row.valLoss) / (bar - synchronous);
    }
  }
}

function table(rows: readonly Row[]): string {
  const megabytes = (bytes: number): string => (bytes === 0 ? "–" : (bytes / 1e6).toFixed(1));
  const cells = rows.map((row) => [
    row.row,
    String(row.tokens),
    row.valLoss.toFixed(4),
    row.ratioToSynchronous.toFixed(4),
    row.gapRecovered === null ? "–" : row.gapRecovered.toFixed(3),
    megabytes(row.bytesUp),
    megabytes(row.bytesDown),
    megabytes(row.bytesDataParallelFp32),
    megabytes(row.bytesRingFp32),
    row.timesFewerBytes === null ? "–" : `${row.timesFewerBytes.toFixed(0)} ×`,
  ]);
  const head = [
    ...["run", "tokens", "val loss", "ratio", "gap recovered", "MB up", "MB down"],
    ...["MB fp32 DP", "MB fp32 ring", "fewer bytes"],
  ];
  const lines = [head, head.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}

/** The last line that a program prints, as JSON. Its progress goes to our stderr. */
function jsonOf<T>(program: string, args: readonly string[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (piece: Buffer) => {
      output += piece.toString();
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(output.trim()) as T);
      else reject(new Error(`${program} ${args.join(" ")} ended with exit code ${code}`));
    });
  });
}

function say(sentence: string): void {
  process.stderr.write(`== ${sentence}\n`);
}
