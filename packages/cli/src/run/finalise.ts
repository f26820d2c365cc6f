// The end of a run: the final weights measured on all validation data, exported, asked for a
// sample; then summary.json and report.html. Everything is recomputed if it was interrupted.
import { rename, rm, writeFile } from "node:fs/promises";
import type { HistoryPoint } from "@manyhands/coordinator/history";
import type { RunStatus } from "@manyhands/coordinator/status";
import type { ModelCard } from "@manyhands/engine/checkpoint/model-card";
import type { TokenArray } from "@manyhands/engine/data/sampler";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createEvaluator, windowCount } from "@manyhands/engine/train/evaluate";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { adapterParts } from "@manyhands/worker/compute/adapter-parts";
import { tokensOf } from "@manyhands/worker/compute/run-facts";
import type { TrainingParts } from "@manyhands/worker/compute/stepper";
import { reportHtml } from "../report/report-html.ts";
import type { ReportAccounts } from "../report/report-pay.ts";
import type { TunedModel } from "../run-file/tuned-model.ts";
import { runPaths } from "./run-folder.ts";
import { type Sample, sampleOf } from "./sample-text.ts";
import { type Summary, summaryOf } from "./summary.ts";
import { writeTrained } from "./trained-model.ts";

const EVALUATION_SEQUENCES = 16;
/** Windows between two looks at the progress. */
const EVALUATION_CHUNK = 64;

export type FinishedRun = {
  readonly folder: string;
  readonly run: FrozenRun;
  readonly status: RunStatus;
  readonly points: readonly HistoryPoint[];
  readonly weights: Float32Array;
  readonly files: readonly Uint8Array[];
  readonly license: string | null;
  readonly dataParallelBatch: number | null;
  /** What was trained on, if the run did not begin from nothing. */
  readonly tuned: TunedModel | null;
};

export type Progress = (doing: string, share: number | null) => void;

export type Result = { readonly summary: Summary; readonly sample: Sample };

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
  const { validation } = tokensOf(run, finished.files.slice(0, run.dataset.files.length));
  const evaluation = await evaluateAll(finished, validation, { progress, stop });
  if (!evaluation) return null;
  progress("exporting", null);
  const summary = summaryOf({
    status: finished.status,
    recipe: run.recipe,
    run,
    evaluation,
    globalBatchTokens: finished.dataParallelBatch ?? undefined,
  });
  const card = cardOf(finished, summary);
  await writeTrained(paths.exportFolder, { run, weights, tuned: finished.tuned, card });
  progress("writing a sample", null);
  const sample = await sampleOf(finished, validation);
  if (stop.aborted) return null;
  const { points } = finished;
  const accounts = await accountsOf(finished);
  await writeWhole(paths.report, reportHtml({ summary, run, points, sample, accounts, folder }));
  // The last file: it says that the run is finished.
  await writeWhole(paths.summary, `${JSON.stringify(summary, null, 2)}\n`);
  return { summary, sample };
}

/** A copy that came without a chain tells no accounts; the log has them all the same. */
async function accountsOf({ run, folder }: FinishedRun): Promise<ReportAccounts | null> {
  if (!run.pay) return null;
  const payLog = await import("../onchain/pay-log.ts").catch(() => null);
  return payLog?.earnedIn(folder) ?? null;
}

/** Mean loss over the whole validation split, every token but the first predicted once. */
async function evaluateAll(
  { run, weights, tuned }: FinishedRun,
  validation: TokenArray,
  { progress, stop }: FinaliseOptions,
): Promise<{ loss: number; tokens: number } | null> {
  const { contextLength } = run.recipe;
  const evaluator = await evaluatorOf(run, tuned);
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

/** Adapters are measured over the base as workers have it, all weights by one graph. */
async function evaluatorOf(
  run: FrozenRun,
  tuned: TunedModel | null,
): Promise<TrainingParts["evaluator"]> {
  const { model, recipe } = run;
  if (tuned?.base) {
    const device = { runtime: ortNode, threads: 2, memoryBytesMax: undefined, otherBytes: 0 };
    const { stepper, evaluator } = await adapterParts(run, tuned.base.bytes, device);
    return {
      evaluate: evaluator.evaluate.bind(evaluator),
      dispose: () => stepper.dispose(),
    };
  }
  const batch = { sequences: EVALUATION_SEQUENCES, contextLength: recipe.contextLength };
  return createEvaluator({ runtime: ortNode, model, batch, threads: 2 });
}

function cardOf({ run, license }: FinishedRun, summary: Summary): ModelCard {
  const contributors = summary.workers.filter((worker) => worker.updates > 0).length;
  return modelCardOf(run, { ...summary, contributors, license });
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
