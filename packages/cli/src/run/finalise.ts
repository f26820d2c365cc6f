// The end of a run: the final weights measured on all validation data, exported, asked for a
// sample; then summary.json and report.html. Everything is recomputed if it was interrupted.
import { rename, rm, writeFile } from "node:fs/promises";
import type { HistoryPoint } from "@manyhands/coordinator/history";
import type { RunStatus } from "@manyhands/coordinator/status";
import { exportFiles } from "@manyhands/engine/checkpoint/export";
import type { ModelCard } from "@manyhands/engine/checkpoint/model-card";
import { writeExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { splitTokens } from "@manyhands/engine/data/dataset";
import { createGenerator } from "@manyhands/engine/generate/generator";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { decodeTokens, encodeText } from "@manyhands/engine/tokenizer/bytes";
import { createEvaluator, windowCount } from "@manyhands/engine/train/evaluate";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { reportHtml } from "../report/report-html.ts";
import { runPaths } from "./run-folder.ts";
import { type Summary, summaryOf } from "./summary.ts";

const EVALUATION_SEQUENCES = 16;
/** Windows between two looks at the progress. */
const EVALUATION_CHUNK = 64;
const SAMPLE_TOKENS = 400;
const SAMPLE_PROMPT_BYTES_MAX = 64;

export type FinishedRun = {
  readonly folder: string;
  readonly run: FrozenRun;
  readonly status: RunStatus;
  readonly points: readonly HistoryPoint[];
  readonly weights: Float32Array;
  readonly files: readonly Uint8Array[];
  readonly license: string | null;
  readonly dataParallelBatch: number | null;
};

export type Progress = (doing: string, share: number | null) => void;

export type Result = { readonly summary: Summary; readonly sample: Sample };
export type Sample = { readonly prompt: string; readonly text: string };

export type FinaliseOptions = {
  readonly progress: Progress;
  /** Aborted by Ctrl-C: what is written stays, the rest is for the next start. */
  readonly stop: AbortSignal;
};

/** @returns null if it was stopped before the end */
export async function finaliseRun(
  finished: FinishedRun,
  { progress, stop }: FinaliseOptions,
): Promise<Result | null> {
  const { run, folder, weights } = finished;
  const paths = runPaths(folder);
  const { validation } = splitTokens(finished.files, run.dataset.validationBps);
  const evaluation = await evaluateAll(finished, validation, { progress, stop });
  if (!evaluation) return null;
  progress("exporting", null);
  const summary = summaryOf({
    status: finished.status,
    recipe: run.recipe,
    evaluation,
    globalBatchTokens: finished.dataParallelBatch ?? undefined,
  });
  await writeExportFolder(paths.exportFolder, exportOf(finished, summary));
  progress("writing a sample", null);
  const sample = await sampleText(run, weights, openingOf(validation));
  if (stop.aborted) return null;
  const { points } = finished;
  await writeWhole(paths.report, reportHtml({ summary, run, points, sample, folder }));
  // The last file: it says that the run is finished.
  await writeWhole(paths.summary, `${JSON.stringify(summary, null, 2)}\n`);
  return { summary, sample };
}

/** Mean loss over the whole validation split, every token but the first predicted once. */
async function evaluateAll(
  { run, weights }: FinishedRun,
  validation: Uint8Array,
  { progress, stop }: FinaliseOptions,
): Promise<{ loss: number; tokens: number } | null> {
  const { contextLength } = run.recipe;
  const evaluator = await createEvaluator({
    runtime: ortNode,
    model: run.model,
    batch: { sequences: EVALUATION_SEQUENCES, contextLength },
    threads: 2,
  });
  const tokens = Int32Array.from(validation);
  const windows = Array.from({ length: windowCount(tokens.length, contextLength) }, (_, i) => i);
  let loss = 0;
  let seen = 0;
  try {
    for (let at = 0; at < windows.length; at += EVALUATION_CHUNK) {
      if (stop.aborted) return null;
      progress("measuring the validation loss", at / windows.length);
      const part = windows.slice(at, at + EVALUATION_CHUNK);
      const measured = await evaluator.evaluate(weights, tokens, part);
      loss += measured.loss * measured.tokens;
      seen += measured.tokens;
      await new Promise((resolve) => setImmediate(resolve)); // evaluation runs on this thread
    }
  } finally {
    await evaluator.dispose();
  }
  return { loss: loss / Math.max(1, seen), tokens: seen };
}

export function modelCardOf(
  run: FrozenRun,
  facts: Pick<Summary, "runId" | "tokens" | "rounds" | "valLoss"> & {
    readonly contributors: number;
    readonly license: string | null;
  },
): ModelCard {
  const { recipe, dataset } = run;
  return {
    name: run.name,
    runId: facts.runId,
    license: facts.license,
    dataset: dataset.files,
    validationBps: dataset.validationBps,
    recipe: {
      optimizer: recipe.optimizer,
      learningRate: recipe.learningRate,
      adamLearningRate: recipe.adamLearningRate,
      weightDecay: recipe.weightDecay,
      batchSequences: recipe.batchSequences,
      contextLength: recipe.contextLength,
      innerSteps: recipe.innerSteps,
      codec: recipe.codec,
      seed: run.seed,
    },
    tokens: facts.tokens,
    rounds: facts.rounds,
    valLoss: facts.valLoss,
    contributors: facts.contributors,
  };
}

function exportOf(finished: FinishedRun, summary: Summary): ReturnType<typeof exportFiles> {
  const contributors = summary.workers.filter((worker) => worker.updates > 0).length;
  const { run, weights, license } = finished;
  const card = modelCardOf(run, { ...summary, contributors, license });
  return exportFiles({ config: run.model, weights, card });
}

/** The first line of the held-out text: something that the model has not seen. */
function openingOf(validation: Uint8Array): string {
  const start = validation.indexOf(10) + 1;
  const end = validation.indexOf(10, start + 1);
  const line = validation.subarray(start, end < 0 ? undefined : end + 1);
  const text = decodeTokens(line.subarray(0, SAMPLE_PROMPT_BYTES_MAX)).trim();
  return text === "" ? "The " : `${text}\n`;
}

async function sampleText(run: FrozenRun, weights: Float32Array, prompt: string): Promise<Sample> {
  const generator = await createGenerator({ runtime: ortNode, model: run.model, threads: 2 });
  const ids: number[] = [];
  try {
    for await (const id of generator.generate({
      weights,
      prompt: Int32Array.from(encodeText(prompt)),
      tokenCountMax: SAMPLE_TOKENS,
      temperature: 0.8,
      topK: 40,
      topP: 1,
      seed: run.seed,
    })) {
      ids.push(id);
    }
  } finally {
    await generator.dispose();
  }
  return { prompt, text: decodeTokens(ids) };
}

/** Under its name only when it is whole. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
}
