// The main job through the real binary: a run file becomes a trained model, a report and a proof.
// Needs neither a browser nor Python; the quality of the model is bench's and interop's business.
import { deepEqual, doesNotMatch, equal, match, notEqual, ok } from "node:assert/strict";
import { cp, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { compareText } from "@manyhands/base/bytes";
import { Process } from "../process.ts";
import { plainEnvironment, tinyRun } from "./tiny-run.ts";

const TOKENS = 6_144;
const EXPORTED = [
  "README.md",
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
];

type Ended = { readonly code: number | null; readonly stdout: string; readonly output: string };

async function manyhands(...args: readonly string[]): Promise<Ended> {
  const child = new Process(args, { environment: plainEnvironment() });
  const { code } = await child.exit;
  return { code, stdout: child.stdout, output: child.output };
}

const LIMIT = { timeout: 300_000 };

test(
  "run: workers train, and leave a model, a report and a log that proves it",
  LIMIT,
  async (t) => {
    const folder = await tinyRun(t, TOKENS);
    const out = join(folder, "out");
    const command = ["run", folder, "--workers", "2", "--port", "0", "--out", out];
    const ended = await manyhands(...command, "--json");
    equal(ended.code, 0, ended.output);
    const kept = await readFile(join(out, "summary.json"), "utf8");
    deepEqual(JSON.parse(ended.stdout), JSON.parse(kept), "--json prints what summary.json holds");
    checkSummary(JSON.parse(kept));
    ok((await stat(join(out, "log.sqlite"))).size > 0);
    deepEqual((await readdir(join(out, "export"))).toSorted(compareText), EXPORTED);
    await checkReport(join(out, "report.html"));
    await t.test("a second start shows the result, and trains nothing", async () => {
      const again = await manyhands(...command);
      equal(again.code, 0, again.output);
      match(again.output, /This run is finished in .*out\. --again trains it once more/);
      match(again.stdout, /tiny is trained\.\nloss +\d\.\d{3} nats per byte/);
      ok(!again.output.includes("\u001b"), "no colours on a pipe");
      equal(await readFile(join(out, "summary.json"), "utf8"), kept);
    });
    await t.test("another run is not taken for the one in the folder", async () => {
      const other = await manyhands(...command, "--seed", "8");
      equal(other.code, 2, other.output);
      match(other.output, /holds another run/);
      equal(await readFile(join(out, "summary.json"), "utf8"), kept);
    });
    await t.test("status, from the folder", async () => {
      const status = await manyhands("status", out, "--json");
      equal(status.code, 0, status.output);
      const { phase, tokensCommitted } = JSON.parse(status.stdout);
      deepEqual({ phase, tokensCommitted }, { phase: "finished", tokensCommitted: TOKENS });
    });
    await t.test("verify agrees, and names a byte that was changed", () =>
      checkVerify(folder, out),
    );
    await t.test("export gives the same weights, and overwrites nothing", () => exportAgain(out));
    await t.test("sample is what its seed says", () => checkSample(out));
  },
);

function checkSummary(summary: { readonly [field: string]: unknown }): void {
  const { workers, tokens, parameters, dataParallel, ...rest } = summary as {
    readonly [field: string]: number | string;
  } & {
    readonly workers: readonly { readonly tokens: number; readonly bytesUp: number }[];
    readonly dataParallel: { readonly workers: number; readonly steps: number };
    readonly tokens: number;
    readonly parameters: number;
  };
  match(String(rest["runId"]), /^[0-9a-f]{64}$/);
  equal(tokens, TOKENS);
  equal(workers.length, 2);
  equal(sum(workers.map((worker) => worker.tokens)), TOKENS, "credit adds up to the tokens");
  ok(Number(rest["rounds"]) >= 3, `${rest["rounds"]} rounds`);
  const valLoss = Number(rest["valLoss"]);
  ok(valLoss > 1 && valLoss < Math.log(256), `better than guessing, and no wonder: ${valLoss}`);
  const { workers: many, steps } = dataParallel;
  equal(rest["bytesDataParallelFp32"], Math.round(8 * parameters * many * steps));
  ok(sum(workers.map((worker) => worker.bytesUp)) <= Number(rest["bytesUp"]));
  for (const field of ["bytesUp", "bytesDown", "wallSeconds", "tokensPerSecond"]) {
    ok(Number(rest[field]) > 0, `${field}: ${rest[field]}`);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

async function checkReport(path: string): Promise<void> {
  const html = await readFile(path, "utf8");
  match(html, /<svg/, "the loss curve");
  for (const name of ["worker-1", "worker-2"]) ok(html.includes(name), `${name} is credited`);
  doesNotMatch(html, /(src|href)="(?!#)|@import|url\((?!#)/, "self-contained");
}

async function checkVerify(folder: string, out: string): Promise<void> {
  const sound = await manyhands("verify", out, "--json");
  equal(sound.code, 0, sound.output);
  const { ok: agrees, rounds, roundsRecomputed } = JSON.parse(sound.stdout);
  equal(agrees, true);
  equal(roundsRecomputed, rounds, "every round is computed again");
  const copy = join(folder, "copy");
  await cp(out, copy, { recursive: true });
  const blobs = join(copy, "blobs");
  const [shelf = ""] = (await readdir(blobs)).filter((name) => /^[0-9a-f]{2}$/.test(name));
  const [name = ""] = await readdir(join(blobs, shelf));
  const bytes = await readFile(join(blobs, shelf, name));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  await writeFile(join(blobs, shelf, name), bytes);
  const changed = await manyhands("verify", copy);
  equal(changed.code, 1, changed.output);
  ok(changed.stdout.includes(`${shelf}${name}`), changed.stdout);
}

async function exportAgain(out: string): Promise<void> {
  const target = join(out, "..", "exported");
  const ended = await manyhands("export", out, target);
  equal(ended.code, 0, ended.output);
  const weights = (place: string) => readFile(join(place, "model.safetensors"));
  deepEqual(await weights(target), await weights(join(out, "export")));
  const full = join(out, "..", "full");
  await mkdir(full);
  await writeFile(join(full, "mine.txt"), "keep me");
  const refused = await manyhands("export", out, full);
  equal(refused.code, 2, refused.output);
  deepEqual(await readdir(full), ["mine.txt"]);
}

async function checkSample(out: string): Promise<void> {
  const sample = async (seed: string): Promise<unknown> => {
    const ended = await manyhands(
      ...["sample", out, "--prompt", "ROMEO:", "--tokens", "40", "--seed", seed, "--json"],
    );
    equal(ended.code, 0, ended.output);
    return JSON.parse(ended.stdout);
  };
  const first = await sample("1");
  deepEqual(await sample("1"), first);
  notEqual(JSON.stringify(await sample("2")), JSON.stringify(first));
}

test("Ctrl-C leaves a run that the same command continues to its end", LIMIT, async (t) => {
  const folder = await tinyRun(t, 20_480);
  const out = join(folder, "out");
  const command = ["run", folder, "--workers", "1", "--port", "0", "--out", out];
  const first = start(t, command);
  await first.says(/^round +1 /m);
  first.signal("SIGINT");
  equal((await first.exit).code, 130, first.output);
  match(first.output, /Stopped\. The same command continues the run where its log ends\./);
  const second = start(t, command);
  equal((await second.exit).code, 0, second.output);
  match(second.output, /Continuing the run in /);
  doesNotMatch(second.output, /^round +0 /m, "no round is trained twice");
  const { tokens } = JSON.parse(await readFile(join(out, "summary.json"), "utf8"));
  equal(tokens, 20_480);
});

function start(t: TestContext, args: readonly string[]): Process {
  const child = new Process(args, { environment: plainEnvironment() });
  t.after(() => (child.running ? child.kill() : undefined));
  return child;
}
