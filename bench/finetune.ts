// Fine-tuning on this machine: step time and peak memory of all weights and of LoRA on each kind of
// base, each in a fresh process, in rounds, so that other work on the machine meets all alike.
// It deliberately measures whole processes: what a person's machine has to hold.
// Usage: npm run bench:finetune [-- --model NAME] [--rounds N]
// It writes bench/results/finetune.{json,md}.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { arch, cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Random } from "@manyhands/base/random";
import { configJson } from "@manyhands/engine/checkpoint/hf-config-json";
import { writeModelFolder } from "@manyhands/engine/convert/model-folder-files";
import type { Gpt2Config, LlamaConfig, ModelConfig } from "@manyhands/engine/model/config";
import type { WeightSource } from "@manyhands/engine/quantize/base-model";
import type { BaseKind } from "@manyhands/engine/quantize/kinds";
import { tokenizerConfigJson, tokenizerJson } from "@manyhands/engine/tokenizer/hugging-face";
import { planFineTuning } from "@manyhands/engine/train/fine-tune-plan";
import type { ChildOptions, ChildResult } from "./finetune/child.ts";

const RESULTS = join(import.meta.dirname, "results");
const CHILD = join(import.meta.dirname, "finetune", "child.ts");
/** The sequence of a phone. */
const CONTEXT = 512;
const RANK = 16;
/** The first is a warm-up. */
const STEPS = 3;

const GPT2: Gpt2Config = {
  ...{ modelType: "gpt2", vocabSize: 50_257, nPositions: 1024, nEmbd: 768, nLayer: 12, nHead: 12 },
  ...{ nInner: 3072, layerNormEpsilon: 1e-5, tieWordEmbeddings: true },
};
const SMOLLM2: LlamaConfig = {
  ...{ vocabSize: 49_152, hiddenSize: 960, intermediateSize: 2560, numHiddenLayers: 32 },
  ...{ numAttentionHeads: 15, numKeyValueHeads: 5, maxPositionEmbeddings: 8192 },
  ...{ rmsNormEps: 1e-5, ropeTheta: 100_000, tieWordEmbeddings: true },
};
const MODELS: Readonly<Record<string, ModelConfig>> = {
  "GPT-2, 124M": GPT2,
  "SmolLM2, 360M": SMOLLM2,
};

const KINDS = ["f32", "q8", "q4", "ternary"] as const satisfies readonly BaseKind[];
const RUNS = ["full", "full, recomputed", ...KINDS] as const;
type Run = (typeof RUNS)[number];

type Row = ChildResult & {
  readonly model: string;
  readonly run: Run;
  readonly predictedBytes: number;
  readonly packMs: number;
  readonly rounds: number;
};

/** The standard deviation of a sum of four bytes. */
const BYTES_SPREAD = Math.sqrt((4 * (256 ** 2 - 1)) / 12);

/** Normal weights of the usual spread, made anew for each tensor: none are held. */
function randomSource(config: ModelConfig): WeightSource {
  let stream = 0;
  return {
    config,
    async readParameter({ name, shape }, into) {
      const random = new Random(1, stream++);
      if (shape.length === 1) {
        into.fill(name.endsWith(".bias") ? 0 : 1);
        return;
      }
      for (let i = 0; i < into.length; i++) {
        // The sum of four bytes is near enough to a normal number, and quick.
        const word = random.word();
        const sum = (word & 255) + ((word >> 8) & 255) + ((word >> 16) & 255) + (word >>> 24);
        into[i] = 0.02 * ((sum - 510) / BYTES_SPREAD);
      }
    },
  };
}

async function makeFolder(config: ModelConfig, folder: string): Promise<string> {
  const base = join(folder, "config");
  mkdirSync(base, { recursive: true });
  writeFileSync(join(base, "config.json"), configJson(config));
  writeFileSync(join(base, "tokenizer.json"), tokenizerJson());
  writeFileSync(join(base, "tokenizer_config.json"), tokenizerConfigJson(CONTEXT));
  const target = join(folder, "model");
  await writeModelFolder({ source: randomSource(config), base, target, dtype: "bf16" });
  return target;
}

function child(options: ChildOptions): ChildResult {
  return JSON.parse(
    execFileSync(process.execPath, [CHILD, JSON.stringify(options)], { encoding: "utf8" }),
  );
}

async function measure(name: string, config: ModelConfig, rounds: number): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-bench-finetune-"));
  try {
    const model = await makeFolder(config, folder);
    const shared = { model, cacheFolder: join(folder, "cache") };
    const size = { contextLength: CONTEXT, rank: RANK, steps: STEPS };
    const packed = new Map(
      KINDS.map((kind) => [kind as Run, child({ ...shared, ...size, run: "pack", kind })]),
    );
    const found = new Map<Run, ChildResult[]>(RUNS.map((run) => [run, []]));
    for (let round = 0; round < rounds; round++) {
      for (const run of RUNS) {
        const result = child({ ...shared, ...size, run });
        found.get(run)?.push(result);
        console.error(`${name}, ${run}: ${mb(result.peakBytes)} MB, ${result.cpuMs.toFixed(0)} ms`);
      }
    }
    return RUNS.map((run) => {
      const result = medians(found.get(run) ?? []);
      const predictedBytes = predicted(config, run);
      const packMs = packed.get(run)?.readyMs ?? 0;
      return { model: name, run, ...result, predictedBytes, packMs, rounds };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function predicted(model: ModelConfig, run: Run): number {
  const batch = { sequences: 1, contextLength: CONTEXT };
  if (run === "full" || run === "full, recomputed") {
    const recomputation = run === "full" ? "none" : "blocks";
    return planFineTuning({ model, kind: "f32", batch, recomputation }).totalBytes;
  }
  const adapter = { r: RANK, loraAlpha: 2 * RANK, targetModules: "all-linear" } as const;
  return planFineTuning({ model, kind: run, adapter, batch }).totalBytes;
}

function medians(results: readonly ChildResult[]): ChildResult {
  const of = (key: keyof ChildResult): number => median(results.map((result) => result[key]));
  return {
    ...{ peakBytes: of("peakBytes"), cpuMs: of("cpuMs"), wallMs: of("wallMs"), loss: of("loss") },
    ...{ baseBytes: of("baseBytes"), error: of("error"), readyMs: of("readyMs") },
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The models' order, whatever was measured last. */
function inOrder(rows: readonly Row[]): Row[] {
  return Object.keys(MODELS).flatMap((name) => rows.filter(({ model }) => model === name));
}

const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);

function tableOf(rows: readonly Row[]): string {
  const find = (model: string, run: Run): Row | undefined =>
    rows.find((row) => row.model === model && row.run === run);
  const lines = rows.map((row) => {
    const [full, whole] = [find(row.model, "full"), find(row.model, "f32")];
    const share = full ? `${((100 * row.peakBytes) / full.peakBytes).toFixed(0)} %` : "–";
    const ratio = whole ? `${(row.cpuMs / whole.cpuMs).toFixed(2)} ×` : "–";
    const lora = row.run.startsWith("full") ? row.run : `LoRA on ${row.run}`;
    const base = row.baseBytes > 0 ? mb(row.baseBytes) : "–";
    const error = row.error > 0 ? `${(100 * row.error).toFixed(2)} %` : "–";
    const memory = `${mb(row.peakBytes)} | ${share} | ${mb(row.predictedBytes)} | ${base}`;
    const time = `${row.cpuMs.toFixed(0)} | ${ratio} | ${row.wallMs.toFixed(0)}`;
    const ready = (row.readyMs / 1000).toFixed(1);
    return `| ${row.model} | ${lora} | ${memory} | ${time} | ${error} | ${ready} | ${row.rounds} |`;
  });
  const head = [
    ...["model", "what trains", "peak MB", "of full", "predicted MB", "base MB"],
    ...["CPU ms per step", "of f32", "clock ms per step", "base's error", "s to the first step"],
    "rounds",
  ];
  const rule = head.map((_, column) => (column < 2 ? "---" : "---:"));
  return [`| ${head.join(" | ")} |`, `| ${rule.join(" | ")} |`, ...lines].join("\n");
}

function goalsOf(rows: readonly Row[]): string {
  const models = [...new Set(rows.map(({ model }) => model))];
  const lines = models.flatMap((model) => {
    const of = (run: Run): Row | undefined =>
      rows.find((row) => row.model === model && row.run === run);
    const [full, whole, four, ternary] = [of("full"), of("f32"), of("q4"), of("ternary")];
    if (!full || !whole || !four || !ternary) return [];
    return [
      goal(`${model}: peak on a 4-bit base, of full`, four.peakBytes / full.peakBytes, 0.35),
      goal(`${model}: peak on a ternary base, of full`, ternary.peakBytes / full.peakBytes, 0.25),
      goal(`${model}: step on a 4-bit base, of f32 (CPU time)`, four.cpuMs / whole.cpuMs, 1.3),
    ];
  });
  return lines.join("\n");
}

function goal(what: string, found: number, most: number): string {
  return `- ${what}: ${found.toFixed(2)} (goal ≤ ${most}): ${found <= most ? "met" : "missed"}`;
}

function write(rows: readonly Row[]): void {
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus()[0]?.model ?? "?"} × ${cpus().length}, ${arch()}`;
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const command = "`npm run bench:finetune`";
  const head = `${machine}, ${memory}, Node ${process.version}, ${date}, ${command}`;
  const how =
    `One sequence of ${CONTEXT} tokens per step, 1 thread, random weights, LoRA of rank ${RANK} ` +
    "on all linear layers, AdamW. Peak resident memory of a fresh process that reads the model " +
    `(packed bases from the cache), and takes ${STEPS} steps; medians of rounds over all runs. ` +
    "Other work may run on the machine meanwhile: processor time is what is compared, the " +
    "clock's time is what it came to.";
  const text = [
    "# Fine-tuning: memory and time of a step",
    `${head}. ${how}`,
    goalsOf(rows),
    tableOf(rows),
  ].join("\n\n");
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "finetune.md"), `${text}\n`);
  const json = { machine, date, rows };
  writeFileSync(join(RESULTS, "finetune.json"), `${JSON.stringify(json, null, 1)}\n`);
}

/** Rows of models that are not measured now, from the last time. */
function rowsBefore(names: readonly string[]): Row[] {
  try {
    const file = readFileSync(join(RESULTS, "finetune.json"), "utf8");
    const { rows } = JSON.parse(file) as { readonly rows: readonly Row[] };
    return rows.filter(({ model }) => !names.includes(model));
  } catch {
    // There was no last time.
    return [];
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { model: { type: "string" }, rounds: { type: "string", default: "3" } },
  });
  const rounds = Number(values.rounds);
  // With 0 rounds the table is only written anew.
  const wanted = (name: string): boolean => !values.model || name.includes(values.model);
  const names = rounds === 0 ? [] : Object.keys(MODELS).filter(wanted);
  const rows = rowsBefore(names);
  for (const name of names) {
    const config = MODELS[name];
    if (config) rows.push(...(await measure(name, config, rounds)));
  }
  const ordered = inOrder(rows);
  console.log(tableOf(ordered));
  console.log(goalsOf(ordered));
  write(ordered);
}

await main();
