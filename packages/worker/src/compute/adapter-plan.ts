// Whether training a run's adapters fits in memory, and how many sequences at once. The runtime is
// not loaded for it: a page asks before it offers to take part.
import { InputError } from "@manyhands/base/errors";
import type { TrainingPlan } from "@manyhands/engine/plan/plan-training";
import { planFineTuning } from "@manyhands/engine/train/fine-tune-plan";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { Tuning } from "@manyhands/protocol/tuning";

export type AdapterMemory = {
  readonly memoryBytesMax: number | undefined;
  /** What the process holds besides. */
  readonly otherBytes: number;
};

/** By how much the prediction may be wrong. */
const ERROR = 0.15;

/** The most sequences at once that fit; one, if not even that surely does. */
export function planAdapters(
  { model, recipe }: Pick<FrozenRun, "model" | "recipe">,
  { adapter, base: { kind } }: Extract<Tuning, { method: "lora" }>,
  { memoryBytesMax, otherBytes }: AdapterMemory,
): TrainingPlan {
  const { batchSequences, contextLength } = recipe;
  const sizes = Array.from({ length: batchSequences }, (_, i) => batchSequences - i);
  const plans = sizes
    .filter((size) => batchSequences % size === 0)
    .map((microBatch) => {
      const batch = { sequences: microBatch, contextLength };
      const { totalBytes, ...parts } = planFineTuning({ model, kind, adapter, batch });
      const total = totalBytes + otherBytes;
      const bytes = {
        weights: parts.baseBytes + parts.trainableBytes / 2,
        gradients: parts.trainableBytes / 2,
        optimizer: parts.optimizerBytes,
        activations: parts.activationBytes,
        runtime: parts.workBytes,
        other: otherBytes,
      };
      const verdict = verdictOf(total, memoryBytesMax);
      const [need, may] = [total, memoryBytesMax ?? 0].map((size) => Math.ceil(size / 1e6));
      const sentence = `training adapters needs about ${need} MB of the ${may} MB that it may take`;
      return { verdict, microBatch, recomputation: "blocks", bytes, totalBytes: total, sentence };
    }) satisfies TrainingPlan[];
  const fitting = plans.find(({ verdict }) => verdict === "fits");
  const [first] = plans;
  const last = plans.at(-1);
  const chosen = memoryBytesMax === undefined ? first : (fitting ?? last);
  if (!chosen) throw new InputError("a batch has one sequence or more");
  return chosen;
}

function verdictOf(total: number, limit: number | undefined): TrainingPlan["verdict"] {
  if (limit === undefined) return "unknown";
  if (total * (1 + ERROR) <= limit) return "fits";
  return total * (1 - ERROR) > limit ? "tooLarge" : "unknown";
}
