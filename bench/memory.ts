// Peak memory of training: predicted before, measured in fresh processes, one after the other, in
// rounds, so that other work on the machine meets all runs alike.
// It deliberately measures whole processes: what a person's machine has to hold.
// Usage: npm run bench:memory [-- --only NAME]   writes bench/results/memory.json and memory.md
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { Gpt2Config, LlamaConfig } from "@manyhands/engine/model/config";
import { planTraining } from "@manyhands/engine/plan/plan-training";
import { MUON_RECIPE, type OptimizerOptions } from "@manyhands/engine/train/options";
import type { ChildOptions, ChildResult } from "./memory/child.ts";

const RESULTS = join(import.meta.dirname, "results");
const CHILD = join(import.meta.dirname, "memory", "child.ts");

const common = { vocabSize: 256, rmsNormEps: 1e-5, ropeTheta: 10_000, tieWordEmbeddings: false };
const SMALL: LlamaConfig = {
  ...common,
  hiddenSize: 256,
  intermediateSize: 688,
  numHiddenLayers: 4,
  numAttentionHeads: 4,
  numKeyValueHeads: 4,
  maxPositionEmbeddings: 128,
};
const BIG: LlamaConfig = {
  ...common,
  hiddenSize: 512,
  intermediateSize: 1376,
  numHiddenLayers: 8,
  numAttentionHeads: 8,
  numKeyValueHeads: 8,
  maxPositionEmbeddings: 256,
};
const BIG_GPT2: Gpt2Config = {
  modelType: "gpt2",
  vocabSize: 256,
  nPositions: 256,
  nEmbd: 512,
  nLayer: 8,
  nHead: 8,
  nInner: 2048,
  layerNormEpsilon: 1e-5,
  tieWordEmbeddings: false,
};
const ADAMW: OptimizerOptions = {
  gradientNormMax: 1,
  adamw: { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 },
};

const small = { model: SMALL, batch: { sequences: 8, contextLength: 128 }, optimizer: ADAMW };
const big = { model: BIG, batch: { sequences: 8, contextLength: 256 }, optimizer: ADAMW };
const gpt2 = { ...big, model: BIG_GPT2 };
const wide = { model: { ...SMALL, vocabSize: 8_192 }, batch: small.batch, optimizer: ADAMW };
const long = {
  model: { ...SMALL, maxPositionEmbeddings: 512 },
  batch: { sequences: 4, contextLength: 512 },
  optimizer: ADAMW,
};
const blocks = { recomputation: "blocks" } as const;

type Run = Omit<ChildOptions, "steps">;
const RUNS: Readonly<Record<string, Run>> = {
  small,
  "small, recomputed": { ...small, ...blocks },
  "small, Muon": { ...small, optimizer: MUON_RECIPE },
  "small, 8,192 words": wide,
  "small, 4 × 512 tokens": long,
  "small, 4 × 512 tokens, recomputed": { ...long, ...blocks },
  big,
  "big, micro-batches of 2": { ...big, microBatch: 2 },
  "big, recomputed": { ...big, ...blocks },
  "big, recomputed, micro-batches of 4": { ...big, ...blocks, microBatch: 4 },
  "big GPT-2": gpt2,
  "big GPT-2, recomputed": { ...gpt2, ...blocks },
};
const STEPS = 4;
const ROUNDS = 3;

type Row = ChildResult & {
  readonly name: string;
  readonly predictedBytes: number;
  readonly predictedParts: Readonly<Record<string, number>>;
  /** Predicted over measured, less one. */
  readonly error: number;
};

function measure(run: Run): ChildResult {
  const argument = JSON.stringify({ ...run, steps: STEPS });
  return JSON.parse(execFileSync(process.execPath, [CHILD, argument], { encoding: "utf8" }));
}

/** Medians over the rounds, beside the prediction. */
function rowOf(name: string, run: Run, results: readonly ChildResult[]): Row {
  const { bytes, totalBytes } = planTraining({
    ...run,
    microBatch: run.microBatch ?? run.batch.sequences,
    recomputation: run.recomputation ?? "none",
  });
  const result = {
    peakBytes: median(results.map(({ peakBytes }) => peakBytes)),
    baseBytes: median(results.map(({ baseBytes }) => baseBytes)),
    cpuMs: median(results.map(({ cpuMs }) => cpuMs)),
    wallMs: median(results.map(({ wallMs }) => wallMs)),
    loss: median(results.map(({ loss }) => loss)),
  };
  const error = totalBytes / result.peakBytes - 1;
  return { name, predictedBytes: totalBytes, predictedParts: bytes, error, ...result };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
    const error = `${row.error > 0 ? "+" : ""}${(100 * row.error).toFixed(0)} %`;
    const times = `${row.cpuMs.toFixed(0)} | ${row.wallMs.toFixed(0)}`;
    const bytes = `${mb(row.predictedBytes)} | ${mb(row.peakBytes)}`;
    return `| ${row.name} | ${bytes} | ${error} | ${times} |`;
  });
  return [
    "| run | predicted MB | measured MB | error | CPU ms per step | ms per step |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
    ...lines,
  ].join("\n");
}

/** What recomputation saves and costs, where both runs were made. */
function savingOf(rows: readonly Row[], plain: string, recomputed: string): string {
  const [a, b] = [plain, recomputed].map((name) => rows.find((row) => row.name === name));
  if (!a || !b) return "";
  const saved = (100 * (1 - b.peakBytes / a.peakBytes)).toFixed(0);
  const [cpu, wall] = [b.cpuMs / a.cpuMs, b.wallMs / a.wallMs].map((ratio) => ratio.toFixed(2));
  return `- ${recomputed}: −${saved} % of the peak at ${cpu} × the CPU time (${wall} × the time)`;
}

function main(args: readonly string[]): void {
  const only = args[0] === "--only" ? args[1] : undefined;
  const names = Object.keys(RUNS).filter((name) => only === undefined || name === only);
  const measured = new Map<string, ChildResult[]>(names.map((name) => [name, []]));
  for (let round = 0; round < (only === undefined ? ROUNDS : 1); round++) {
    for (const name of names) {
      const run = RUNS[name];
      if (run) measured.get(name)?.push(measure(run));
    }
  }
  const rows = names.flatMap((name) => {
    const run = RUNS[name];
    return run ? [rowOf(name, run, measured.get(name) ?? [])] : [];
  });
  console.log(tableOf(rows));
  if (only !== undefined) return;
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus()[0]?.model ?? "?"} × ${cpus().length}, ${arch()}`;
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const head = `${machine}, ${memory}, Node ${process.version}, ${date}, \`npm run bench:memory\``;
  const savings = [
    savingOf(rows, "small", "small, recomputed"),
    savingOf(rows, "big", "big, recomputed"),
    savingOf(rows, "big", "big, recomputed, micro-batches of 4"),
    savingOf(rows, "big GPT-2", "big GPT-2, recomputed"),
  ];
  const worst = Math.max(...rows.map((row) => Math.abs(row.error)));
  const text = [
    "# Memory of a training run: predicted and measured",
    `${head}. Peak resident memory of a fresh process that takes ${STEPS} steps, 1 thread; ` +
      `medians of ${ROUNDS} rounds over all runs.`,
    `Worst error of the prediction: ${(100 * worst).toFixed(0)} % (goal: 15 %).`,
    tableOf(rows),
    savings.join("\n"),
  ].join("\n\n");
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "memory.md"), `${text}\n`);
  writeFileSync(
    join(RESULTS, "memory.json"),
    `${JSON.stringify({ machine, date, rows }, null, 1)}\n`,
  );
}

main(process.argv.slice(2));
