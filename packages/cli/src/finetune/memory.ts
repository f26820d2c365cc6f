// What fine-tuning takes of memory before anything is loaded, and how much of a step is computed
// at once. The planner's numbers; nothing is measured.
import type { AdapterConfig } from "@manyhands/engine/adapters/config";
import type { ModelConfig } from "@manyhands/engine/model/config";
import type { BaseKind } from "@manyhands/engine/quantize/kinds";
import { type FineTunePlan, planFineTuning } from "@manyhands/engine/train/fine-tune-plan";

export type TuningShape = {
  readonly config: ModelConfig;
  readonly base: BaseKind;
  /** null: all weights are trained. */
  readonly adapter: AdapterConfig | null;
  readonly sequence: number;
};

/** What the person's other programs keep. */
const FREE_SHARE = 0.9;
const MICRO_BATCH_MAX = 8;

/** The planner's prediction of the process' peak. */
export function memoryNeed(
  { config, base, adapter, sequence }: TuningShape,
  microBatch: number,
): FineTunePlan {
  return planFineTuning({
    model: config,
    kind: base,
    adapter: adapter ?? undefined,
    batch: { sequences: microBatch, contextLength: sequence },
  });
}

/** What a device may take: what was said, or most of what is free. */
export function memoryLimit(asked: number | undefined): number {
  return asked ?? Math.floor(process.availableMemory() * FREE_SHARE);
}

/** The largest part of a batch, of at most 8 sequences, that fits. */
export function chooseMicroBatch(
  batch: number,
  shape: TuningShape,
  asked: number | undefined,
): number {
  const limit = memoryLimit(asked);
  for (let part = Math.min(batch, MICRO_BATCH_MAX); part > 1; part--) {
    if (batch % part === 0 && memoryNeed(shape, part).totalBytes <= limit) return part;
  }
  return 1;
}
