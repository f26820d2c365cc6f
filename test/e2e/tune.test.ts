// A run that trains adapters: the base goes to the workers as a blob of the run, what comes back is
// averaged, and what is left is an adapter's folder whose log verifies.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Process } from "../process.ts";
import { plainEnvironment, tinyRun } from "./tiny-run.ts";

const LIMIT = { timeout: 300_000 };

const TUNED = `
name: tuned
model: ./out/export
method: lora
lora: { r: 4, loraAlpha: 8, loraDropout: 0.1, base: q4 }
data: { files: [text.txt] }
recipe:
  optimizer: adamw
  learningRate: 0.03
  weightDecay: 0
  contextLength: 32
  batchSequences: 8
  innerSteps: 4
  codec: q8
rounds: { workersMin: 2, wait: 30s, evaluateEvery: 2, evaluateWindows: 8 }
budget: { tokens: 32768 }
workers: 2
seed: 3
`;

const FULL = `
name: full
model: ./out/export
method: full
data: { files: [corpus.txt] }
recipe: { learningRate: 0.01, contextLength: 32, batchSequences: 8, innerSteps: 4 }
budget: { tokens: 2048 }
`;

test("train, then tune with adapters in a swarm, verify and export", LIMIT, async (t) => {
  const folder = await tinyRun(t, 8_192);
  const environment = plainEnvironment({ MANYHANDS_CACHE: join(folder, "bases") });
  const command = async (...args: readonly string[]): Promise<Process> => {
    const child = start(t, args, environment);
    equal((await child.exit).code, 0, child.output);
    return child;
  };
  const out = join(folder, "out");
  await command("run", folder, "--workers", "2", "--port", "0", "--out", out, "--json");
  const numbers = Array.from({ length: 900 }, (_, i) => `after ${i} comes ${i + 1}.\n`);
  await writeFile(join(folder, "text.txt"), numbers.join(""));
  await writeFile(join(folder, "tune.yaml"), TUNED);
  const tuned = join(folder, "tuned");
  const run = await command("run", join(folder, "tune.yaml"), "--port", "0", "--out", tuned);
  const summary = JSON.parse(await readFile(join(tuned, "summary.json"), "utf8"));
  equal(summary.finishReason, "tokens");
  equal(summary.parameters, 2_048, "only adapters travel");
  match(run.output, /The base is kept in q4 \(.*, error \d+\.\d\d %\)/);
  const before = Number(/^round +0 .* val (\d+\.\d+)/m.exec(run.stdout)?.[1]);
  ok(summary.valLoss < 0.97 * before, `the loss fell from ${before} to ${summary.valLoss} only`);
  const files = await readdir(join(tuned, "export"));
  ok(files.includes("adapter_model.safetensors") && files.includes("tokenizer.json"));
  const config = JSON.parse(await readFile(join(tuned, "export/adapter_config.json"), "utf8"));
  deepEqual([config.r, config.lora_alpha, config.lora_dropout], [4, 8, 0.1]);
  match((await command("verify", tuned)).output, /every root agrees/);
  await command("export", tuned, join(folder, "again"));
  const bytes = (name: string): Promise<Buffer> => readFile(join(folder, name));
  deepEqual(
    await bytes("again/adapter_model.safetensors"),
    await bytes("tuned/export/adapter_model.safetensors"),
  );
  const sample = await command("sample", tuned, "--prompt", "after 5", "--tokens", "9", "--json");
  equal(JSON.parse(sample.stdout).prompt, "after 5");
  ok(JSON.parse(sample.stdout).text.length > 0, "adapters write over the base in the run's folder");
  deepEqual(await bytes("again/tokenizer.json"), await bytes("out/export/tokenizer.json"));
});

test("train on with all weights, and export from the run's folder alone", LIMIT, async (t) => {
  const folder = await tinyRun(t, 4_096, "  workersMin: 1");
  const environment = plainEnvironment();
  const command = async (...args: readonly string[]): Promise<Process> => {
    const child = start(t, args, environment);
    equal((await child.exit).code, 0, child.output);
    return child;
  };
  await command("run", folder, "--port", "0", "--out", join(folder, "out"), "--json");
  await writeFile(join(folder, "full.yaml"), FULL);
  const full = join(folder, "full");
  await command("run", join(folder, "full.yaml"), "--port", "0", "--out", full, "--json");
  // What it began with is no longer there.
  await rename(join(folder, "out"), join(folder, "elsewhere"));
  await command("export", full, join(folder, "again"));
  for (const name of ["model.safetensors", "config.json", "tokenizer.json"]) {
    const [again, first] = await Promise.all(
      ["again", "full/export"].map((place) => readFile(join(folder, place, name))),
    );
    deepEqual(again, first, name);
  }
  const sample = await command("sample", join(folder, "again"), "--prompt", "a", "--tokens", "5");
  match(sample.stdout, /^a/);
});

function start(t: TestContext, args: readonly string[], environment: NodeJS.ProcessEnv): Process {
  const child = new Process(args, { environment });
  t.after(() => (child.running ? child.kill() : undefined));
  return child;
}
