// Tokens per second of greedy generation with a cache, beside transformers on the same exported
// folder. Both are child processes and take turns.
import { join } from "node:path";
import { exportFiles } from "@manyhands/engine/checkpoint/export";
import { writeExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { isGpt2 } from "@manyhands/engine/model/config";
import { EngineProcess, type Turn } from "./child.ts";
import { median } from "./compare.ts";
import { GENERATORS } from "./engines.ts";
import { type BenchModel, type GenerationJob, initialWeights } from "./models.ts";
import { markdownTable } from "./report.ts";

export type GenerationRow = {
  readonly engine: string;
  readonly model: string;
  readonly threads: number;
  readonly tokensPerSecond: number;
  readonly ratioToTransformers: number;
  readonly sameText: boolean;
};

const PROMPT = [..."First Citizen: before we proceed"].map((letter) => letter.charCodeAt(0));
const TEXTS_PER_TURN = 2;

export async function compareGeneration(
  model: BenchModel,
  threads: number,
  options: { readonly turns: number; readonly folder: string },
): Promise<readonly GenerationRow[]> {
  if (isGpt2(model.config)) return [];
  const folder = join(options.folder, `export-${model.name}`);
  // What a card says of a run does not matter here.
  const card = {
    name: "bench",
    runId: "00".repeat(32),
    license: "apache-2.0",
    dataset: [],
    validationBps: 0,
    recipe: {},
    tokens: 0,
    rounds: 0,
    valLoss: null,
    contributors: 0,
  };
  const weights = initialWeights(model.config);
  await writeExportFolder(folder, exportFiles({ config: model.config, weights, card }));
  const count = model.batch.contextLength - PROMPT.length;
  const job: GenerationJob = { folder, threads, prompt: PROMPT, count };
  const taking = GENERATORS.map(({ name, command }) => {
    return { name, process: new EngineProcess(command), ms: [] as number[], texts: [] as number[] };
  });
  const record = (row: (typeof taking)[number], turn: Turn): void => {
    row.ms.push(median(turn.ms));
    row.texts.push(...turn.losses);
  };
  for (const row of taking) row.texts.push(...(await row.process.start(job)).losses);
  for (let turn = 0; turn < options.turns; turn++) {
    for (const row of taking) record(row, await row.process.steps(TEXTS_PER_TURN));
  }
  await Promise.all(taking.map(({ process }) => process.end()));
  const other = taking.find(({ name }) => name === "transformers");
  return taking.map(({ name, ms, texts }) => ({
    engine: name,
    model: model.name,
    threads,
    tokensPerSecond: Math.round((count * 1000) / median(ms)),
    ratioToTransformers: Number((median(other?.ms ?? []) / median(ms)).toFixed(2)),
    sameText: texts.every((text) => text === other?.texts[0]),
  }));
}

export function generationTable(rows: readonly GenerationRow[]): string {
  const head = ["model", "threads", "generator", "tokens/s", "ratio to transformers", "same text"];
  const cells = rows.map((row) => [
    row.model,
    row.threads,
    row.engine,
    row.tokensPerSecond,
    row.ratioToTransformers.toFixed(2),
    row.sameText ? "yes" : "NO",
  ]);
  return markdownTable(head, cells);
}
