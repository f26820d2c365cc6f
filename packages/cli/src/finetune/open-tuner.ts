// The trainer of a recipe: adapters over a base in its stored form, or all weights.
import { homedir } from "node:os";
import { join } from "node:path";
import { openBase } from "@manyhands/engine/quantize/base-cache";
import type { QuantizationReport } from "@manyhands/engine/quantize/base-model";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createFineTuner } from "@manyhands/engine/train/fine-tuner";
import { createFullTuner } from "@manyhands/engine/train/full-tuner";
import type { Tuner } from "@manyhands/engine/train/tuner";
import type { Prepared } from "./prepare.ts";

export type OpenedTuner = {
  readonly tuner: Tuner;
  /** How the base was stored, and what that costs in precision; null for method full. */
  readonly stored: (QuantizationReport & { readonly fromCache: boolean }) | null;
};

export type OpenTunerOptions = {
  readonly environment: NodeJS.ProcessEnv;
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
};

/** @throws ModelFileError, RuntimeError */
export async function openTuner(
  { files, recipe }: Prepared,
  options: OpenTunerOptions,
): Promise<OpenedTuner> {
  const { adapter, seed, threads, optimizer, microBatch, sequence } = recipe;
  const batch = { sequences: microBatch, contextLength: sequence };
  const common = { runtime: ortNode, batch, optimizer, threads };
  if (!adapter) {
    const weights = await files.readWeights();
    return {
      tuner: await createFullTuner({ ...common, model: files.config, weights }),
      stored: null,
    };
  }
  const { base, fromCache } = await openBase(files, recipe.base, {
    cacheFolder: baseCache(options.environment),
    onProgress: (done, total) => options.onProgress(done / total),
    signal: options.signal,
  });
  const tuner = await createFineTuner({ ...common, base, adapter, seed });
  return { tuner, stored: { ...base.report, fromCache } };
}

/** Bases in their stored form are made once per machine. */
function baseCache(environment: NodeJS.ProcessEnv): string {
  return environment["MANYHANDS_CACHE"] ?? join(homedir(), ".manyhands", "bases");
}
