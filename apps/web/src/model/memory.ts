// Whether this device has the memory to write with a run's model, before anything is downloaded.
import { elementCount } from "@manyhands/aggregation/fragments";
import { planWriting } from "@manyhands/engine/plan/plan-writing";
import { pageMemoryBytes } from "@manyhands/engine/probe/page-memory";
import type { FrozenRun } from "@manyhands/protocol/run-config";

export type WritingMemory = {
  /** About what it takes, and what a page may take here. */
  readonly needBytes: number;
  readonly mayBytes: number;
  readonly isTooLarge: boolean;
};

const FLOAT_BYTES = 4;
/** By how much the prediction may be wrong: it refuses only what surely does not fit. */
const ERROR = 0.15;

export function writingMemory(
  { model, fragments, tuning }: Pick<FrozenRun, "model" | "fragments" | "tuning">,
  device: { readonly deviceMemory?: number } = navigator as object,
): WritingMemory {
  const baseBytes = tuning?.method === "lora" ? tuning.base.byteLength : 0;
  const needBytes = planWriting(model, baseBytes + FLOAT_BYTES * elementCount(fragments));
  const mayBytes = pageMemoryBytes(device);
  return { needBytes, mayBytes, isTooLarge: needBytes * (1 - ERROR) > mayBytes };
}
