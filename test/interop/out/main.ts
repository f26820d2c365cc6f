// out: what we write (adapters, merged models, GGUF files) against the real peft, transformers,
// gguf and llama.cpp, and adapters that peft wrote against us. Not part of npm test.
//
// Usage: main.ts <python> <work folder> [<folder where node-llama-cpp is installed>]
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compareText } from "@manyhands/base/bytes";
import { HOSTILE_TEXTS } from "../hostile.ts";
import { adapterCases, readPeftAdapters } from "./adapters.ts";
import { ggufCases } from "./gguf.ts";
import { judgeLlamaCpp } from "./llama-cpp.ts";
import type { Check, Tuned } from "./tuned.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");

async function main(python: string, work: string, llama: string | undefined): Promise<void> {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const hostile = join(work, "hostile.json");
  writeFileSync(hostile, JSON.stringify(HOSTILE_TEXTS));
  const text = join(ROOT, "examples", "shakespeare", "input.txt");
  const made = spawnSync(python, [join(import.meta.dirname, "tuned.py"), work, text, hostile], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (made.status !== 0) throw new Error("tuned.py failed");
  const models = tunedIn(work);
  const adapters = await adapterCases(models);
  const gguf = await ggufCases(models, work);
  const plan = join(work, "plan.json");
  writeFileSync(plan, JSON.stringify({ ...adapters.plan, ...gguf.plan }));
  const checks = [...gguf.checks, ...pythonChecks(python, plan)];
  checks.push(...(await readPeftAdapters(adapters.plan.make)));
  if (llama !== undefined) checks.push(...judgeLlamaCpp(models, gguf.files, { llama, work }));
  for (const { ok, name, detail } of checks) {
    console.log(`${ok ? "ok  " : "FAIL"} ${name}: ${detail}`);
  }
  const failed = checks.filter(({ ok }) => !ok).length;
  const skipped = llama === undefined ? "; llama.cpp was not there" : "";
  console.log(`out: ${checks.length - failed} passed, ${failed} failed${skipped}`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function tunedIn(work: string): readonly Tuned[] {
  const names = readdirSync(work, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort(compareText);
  return names.map((name) => {
    const folder = join(work, name);
    const facts = JSON.parse(readFileSync(join(folder, "tokens.json"), "utf8")) as Tuned;
    return { ...facts, name, folder, model: join(folder, "model") };
  });
}

/** Runs adapters.py, which prints one JSON line per check. */
function pythonChecks(python: string, plan: string): Check[] {
  const run = spawnSync(python, [join(import.meta.dirname, "adapters.py"), plan], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 26,
  });
  const lines = run.stdout.split("\n").filter((line) => line.startsWith("{"));
  const checks = lines.map((line) => JSON.parse(line) as Check);
  const detail = `exit ${run.status}, ${checks.length} checks`;
  return [...checks, { name: "adapters.py ran to its end", ok: run.status === 0, detail }];
}

await main(process.argv[2] ?? "", process.argv[3] ?? "", process.argv[4]);
