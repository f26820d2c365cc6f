// `finetune --dry-run`: whether it fits, how long it will take, and what it will write. Parts of a
// step are computed to measure them; nothing is kept.
import { adapterCount } from "@manyhands/engine/adapters/config";
import { architectureOf, parameterCount } from "@manyhands/engine/model/config";
import type { FineTunePlan } from "@manyhands/engine/train/fine-tune-plan";
import { bytesText, countText, durationText, groupedText } from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { memoryLimit, memoryNeed } from "./memory.ts";
import { openTuner } from "./open-tuner.ts";
import type { Prepared } from "./prepare.ts";
import type { FinetunePaths } from "./run-files.ts";
import { recipeRows } from "./summary.ts";
import { stepBatches } from "./training.ts";

/** One to warm up, and some whose median foretells the rest; fewer where they take long. */
const MEASURED_PARTS = 4;
const MEASURED_MS = 15_000;

export type DryRun = {
  readonly need: FineTunePlan;
  readonly limit: number;
  readonly fits: boolean;
  readonly secondsPerStep: number | null;
  readonly seconds: number | null;
  readonly resultBytes: number;
  readonly checkpointBytes: number;
};

export type DryRunOptions = {
  readonly prepared: Prepared;
  readonly paths: FinetunePaths;
  readonly memory: number | undefined;
  readonly json: boolean;
  readonly stop: AbortSignal;
  readonly io: Io;
};

export async function dryRun(options: DryRunOptions): Promise<void> {
  const { prepared, io, json, paths } = options;
  const { recipe, config, data } = prepared;
  const need = memoryNeed({ ...recipe, config }, recipe.microBatch);
  const limit = memoryLimit(options.memory);
  const fits = need.totalBytes <= limit;
  const secondsPerStep = fits ? await measuredSeconds(options) : null;
  const seconds = secondsPerStep === null ? null : secondsPerStep * recipe.steps;
  const count = recipe.adapter ? adapterCount(config, recipe.adapter) : parameterCount(config);
  const found: DryRun = {
    ...{ need, limit, fits, secondsPerStep, seconds },
    resultBytes: count * 4,
    checkpointBytes: count * 12,
  };
  if (json) return printJson(io, { recipe, facts: data.facts, ...found });
  describeData(prepared, io);
  for (const [name, value] of recipeRows(recipe)) print(io, `  ${name.padEnd(14)} ${value}`);
  describeFit(found, io);
  if (seconds !== null && secondsPerStep !== null) {
    const each = durationText(secondsPerStep * 1_000);
    print(
      io,
      `time: ${durationText(seconds * 1_000)} (${recipe.steps} steps of ${each}, measured)`,
    );
  }
  print(
    io,
    `writes: ${recipe.adapter ? paths.adapter : paths.model}, ${bytesText(found.resultBytes)}`,
  );
  print(io, `        ${paths.report}, ${paths.summary}`);
  print(io, `        ${paths.checkpoint}, ${bytesText(found.checkpointBytes)} while it runs`);
}

function describeData({ config, files, data }: Prepared, io: Io): void {
  const { facts } = data;
  const model = `${architectureOf(config)}, ${countText(parameterCount(config))} parameters`;
  print(io, `model: ${model}, ${files.dtype}, ${bytesText(files.bytes)}`);
  const counts = [
    `documents ${groupedText(facts.documents)}`,
    `tokens to train on ${countText(facts.tokens)} (${countText(facts.counted)} counted)`,
    `held out ${countText(facts.validationTokens)}`,
  ];
  print(io, `data: ${counts.join(", ")}`);
  if (facts.badLineCount > 0) print(io, `      bad lines, left out: ${facts.badLineCount}`);
}

function describeFit({ need, limit, fits }: DryRun, io: Io): void {
  const parts = [
    `base ${bytesText(need.baseBytes)}`,
    `trained numbers ${bytesText(need.trainableBytes)}`,
    `optimiser ${bytesText(need.optimizerBytes)}`,
    `activations ${bytesText(need.activationBytes)}`,
    `runtime and copies ${bytesText(need.workBytes)}`,
  ];
  const total = `${bytesText(need.totalBytes)} of ${bytesText(limit)}`;
  print(io, `memory: ${total} (${parts.join(", ")})`);
  if (fits) print(io, "  it fits");
  else print(io, `  ${io.paint.red("it does not fit")}: ${FIT_HINT}`);
}

export const FIT_HINT =
  "lower --micro-batch or --sequence, take a smaller --base such as q4, or name --memory";

async function measuredSeconds({ prepared, io, stop }: DryRunOptions): Promise<number | null> {
  const { recipe, data } = prepared;
  const signal = stop;
  const options = { environment: io.environment, onProgress: () => undefined, signal };
  const { tuner } = await openTuner(prepared, options);
  try {
    const times: number[] = [];
    const began = performance.now();
    // A step is its micro-batches, one after the other; one of them is enough to measure.
    for (const part of stepBatches(recipe, data.train, 0).slice(0, 1)) {
      while (times.length < MEASURED_PARTS && !stop.aborted) {
        const started = performance.now();
        await tuner.step(part, { learningRate: 0 });
        times.push((performance.now() - started) / 1_000);
        if (performance.now() - began > MEASURED_MS) break;
      }
    }
    const warm = times.length > 1 ? times.slice(1) : times;
    const median = warm.sort((a, b) => a - b)[warm.length >> 1];
    return median === undefined ? null : median * (recipe.batch / recipe.microBatch);
  } finally {
    await tuner.close();
  }
}
