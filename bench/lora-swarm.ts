// From War and Peace to Shakespeare: a small Llama is pre-trained, then LoRA adapters learn another
// book, on one device and in a swarm of 4 at equal tokens; real processes and sockets.
//   npm run bench:lora-swarm -- [--tokens N] [--pretrain N] [--base DIR]
// writes bench/results/lora-swarm.{json,md}. --base takes a model of an earlier run.
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { arch, cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { assert } from "@manyhands/base/assert";
import type { AdapterConfig } from "@manyhands/engine/adapters/config";
import { splitTokens } from "@manyhands/engine/data/dataset";
import type { Summary } from "manyhands/run/summary";
import { CONTEXT, lossesOn, packedBase, pretrain, tuneAlone } from "./finetune/stages.ts";

const RESULTS = join(import.meta.dirname, "results");
const VALIDATION_BPS = 1_000;
const WORKERS = 4;
/** Of all workers together in one inner step, and of one step alone. */
const SEQUENCES = 16;
const INNER_STEPS = 5;
/** Each is the best of 0.002 … 0.016 (alone) and 0.004 … 0.024 (swarm) at 600 000 tokens. */
const RATE_ALONE = 0.008;
const RATE_SWARM = 0.012;
const ADAPTER: AdapterConfig = { r: 16, loraAlpha: 32, targetModules: "all-linear" };

type Row = {
  readonly what: string;
  readonly tokens: number;
  readonly shakespeare: number;
  readonly warAndPeace: number;
};

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "1000000" },
    pretrain: { type: "string", default: "2500000" },
    base: { type: "string" },
  },
});
const tokens = Number(values.tokens);
const work = await mkdtemp(join(tmpdir(), "manyhands-bench-lora-"));

try {
  const rows = await measure();
  const text = report(rows);
  process.stdout.write(text);
  await mkdir(RESULTS, { recursive: true });
  await writeFile(join(RESULTS, "lora-swarm.md"), text);
  const facts = { adapter: ADAPTER, rateAlone: RATE_ALONE, rateSwarm: RATE_SWARM, rows };
  await writeFile(join(RESULTS, "lora-swarm.json"), `${JSON.stringify(facts, null, 1)}\n`);
} finally {
  await rm(work, { recursive: true, force: true });
}

async function measure(): Promise<Row[]> {
  const book = async (name: string): Promise<{ train: Uint8Array; validation: Uint8Array }> =>
    splitTokens([await readFile(join("examples", name, "input.txt"))], VALIDATION_BPS);
  const [peace, plays] = [await book("war-and-peace"), await book("shakespeare")];
  const folder = values.base ? resolve(values.base) : join(work, "base");
  const pretrained = Number(values.pretrain);
  if (!values.base) await pretrain(peace.train, folder, { tokens: pretrained, say });
  const rowOf = async (what: string, used: number, adapter?: Adapter): Promise<Row> => {
    const texts = [plays.validation, peace.validation];
    const [shakespeare = Number.NaN, warAndPeace = Number.NaN] = await lossesOn(
      folder,
      adapter,
      texts,
    );
    say(`${what}: Shakespeare ${shakespeare.toFixed(4)}, War and Peace ${warAndPeace.toFixed(4)}`);
    return { what, tokens: used, shakespeare, warAndPeace };
  };
  const rows = [await rowOf("base: War and Peace alone", values.base ? 0 : pretrained)];
  const recipe = { adapter: ADAPTER, learningRate: RATE_ALONE, sequences: SEQUENCES, tokens };
  const alone = await tuneAlone(await packedBase(folder, "q4"), plays.train, { recipe, say });
  rows.push(await rowOf("LoRA on Shakespeare, one device", tokens, alone));
  const swarm = await inSwarm(folder);
  rows.push(await rowOf(`LoRA on Shakespeare, swarm of ${WORKERS}`, swarm.tokens, swarm.adapter));
  return rows;
}

type Adapter = Parameters<typeof lossesOn>[1];

/** A run with method lora in real processes. */
async function inSwarm(base: string): Promise<{ tokens: number; adapter: string }> {
  await cp("examples/shakespeare/input.txt", join(work, "input.txt"));
  const file = join(work, "run.yaml");
  await writeFile(file, runFile(base));
  const out = join(work, "swarm");
  say(`a swarm of ${WORKERS}`);
  const flags = ["--workers", String(WORKERS), "--port", "0", "--out", out, "--json"];
  await ended(["packages/cli/bin/manyhands.mjs", "run", file, ...flags]);
  const summary = JSON.parse(await readFile(join(out, "summary.json"), "utf8")) as Summary;
  const names = await readdir(join(out, "export"));
  assert(names.includes("adapter_config.json"), "a run with method lora leaves an adapter");
  return { tokens: summary.tokens, adapter: join(out, "export") };
}

function runFile(base: string): string {
  return `name: shakespeare-lora
model: ${base}
method: lora
lora: { r: ${ADAPTER.r}, loraAlpha: ${ADAPTER.loraAlpha}, targetModules: all-linear, base: q4 }
data: { files: [input.txt], validation: ${VALIDATION_BPS / 10_000} }
recipe:
  optimizer: adamw
  learningRate: ${RATE_SWARM}
  weightDecay: 0
  schedule: { warmup: 0.02, cooldown: 0.6, floor: 0.02 }
  contextLength: ${CONTEXT}
  batchSequences: ${SEQUENCES / WORKERS}
  innerSteps: ${INNER_STEPS}
  codec: ternary
rounds: { workersMin: ${WORKERS}, wait: 60s, evaluateEvery: 50 }
budget: { tokens: ${tokens} }
seed: 1
`;
}

function report(rows: readonly Row[]): string {
  const [base, alone, swarm] = rows;
  const lines = rows.map(({ what, tokens: used, shakespeare, warAndPeace }) => {
    return `| ${what} | ${used} | ${shakespeare.toFixed(4)} | ${warAndPeace.toFixed(4)} |`;
  });
  const goals =
    base && alone && swarm
      ? [
          goal("one device against the base", alone.shakespeare / base.shakespeare, 0.85),
          goal("the swarm against one device", swarm.shakespeare / alone.shakespeare, 1.02),
        ]
      : [];
  const machine = `${cpus()[0]?.model ?? "?"} × ${cpus().length}, ${arch()}`;
  const date = new Date().toISOString().slice(0, 10);
  const what =
    `A Llama of 0.8 million parameters (bytes, 4 layers, context ${CONTEXT}) is pre-trained on ` +
    `War and Peace; adapters of rank ${ADAPTER.r} on all linear layers over its 4-bit base then ` +
    `learn Shakespeare, ${SEQUENCES} sequences per step: alone at a rate of ${RATE_ALONE}; in ` +
    `the swarm ${SEQUENCES / WORKERS} per worker, ${INNER_STEPS} steps a round, ternary updates, ` +
    "at " +
    `${RATE_SWARM} (each the best that was tried). Losses are nats per byte of the held-out ` +
    "tenths.";
  const head = ["what", "tokens", "Shakespeare", "War and Peace"];
  return [
    "# From War and Peace to Shakespeare: LoRA on one device and in a swarm",
    `${machine}, Node ${process.version}, ${date}, \`npm run bench:lora-swarm\`. ${what}`,
    `Losses on Shakespeare:\n\n${goals.join("\n")}`,
    [`| ${head.join(" | ")} |`, "| --- | ---: | ---: | ---: |", ...lines].join("\n"),
    "",
  ].join("\n\n");
}

function goal(what: string, ratio: number, most: number): string {
  return `- ${what}: ${ratio.toFixed(4)} (goal ≤ ${most}): ${ratio <= most ? "met" : "missed"}`;
}

function ended(words: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "inherit"] });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${words.join(" ")} ended with exit code ${code}`));
    });
  });
}

function say(sentence: string): void {
  process.stderr.write(`== ${sentence}\n`);
}
