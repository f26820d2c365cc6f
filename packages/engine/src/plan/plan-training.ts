// Whether a training run fits in memory, and the cheapest choices with which it does.
// It deliberately measures nothing: predict-memory.ts predicts, bench/memory.ts checks it.
import { ManyhandsError } from "@manyhands/base/errors";
import {
  type MemoryParts,
  type MemoryRequest,
  predictMemory,
  type Recomputation,
  totalBytes,
} from "./predict-memory.ts";

/** A run, with the choices that are left open. */
export type PlanRequest = Omit<MemoryRequest, "microBatch" | "recomputation" | "threads"> & {
  /** How much memory the whole process may take. Unknown by default. */
  readonly memoryBytesMax?: number | undefined;
  readonly microBatch?: number | undefined;
  readonly recomputation?: Recomputation | undefined;
  readonly threads?: number | undefined;
};

export type TrainingPlan = {
  /**
   * "fits" and "tooLarge" hold even if the prediction is wrong by as much as it may be; between
   * them, or without a limit, it is "unknown".
   */
  readonly verdict: "fits" | "tooLarge" | "unknown";
  readonly microBatch: number;
  readonly recomputation: Recomputation;
  readonly bytes: MemoryParts;
  readonly totalBytes: number;
  /** What was chosen, and why, for a person. */
  readonly sentence: string;
};

/** A run that cannot fit in the memory it may take; nothing was allocated. */
export class MemoryLimitError extends ManyhandsError {
  override readonly name = "MemoryLimitError";
  readonly plan: TrainingPlan;

  constructor(plan: TrainingPlan) {
    super(plan.sentence, {
      hint: "allow more memory, or take a smaller model, shorter sequences or another machine",
    });
    this.plan = plan;
  }
}

/** By how much a prediction may be wrong, either way. */
const ERROR = 0.15;

/**
 * The first choice that fits, in order of time: smaller micro-batches cost little, recomputation a
 * quarter more. If none surely fits, the one that needs least.
 *
 * @throws InputError if the model's config is not a model
 */
export function planTraining(request: PlanRequest): TrainingPlan {
  const { memoryBytesMax: limit } = request;
  let least: TrainingPlan | undefined;
  for (const choice of choicesOf(request)) {
    const plan = planOf(request, choice);
    if (limit === undefined || plan.verdict === "fits") return plan;
    if (least === undefined || plan.totalBytes < least.totalBytes) least = plan;
  }
  return least ?? planOf(request, { microBatch: 1, recomputation: "blocks" });
}

type Choice = { readonly microBatch: number; readonly recomputation: Recomputation };

function choicesOf(request: PlanRequest): readonly Choice[] {
  const { sequences } = request.batch;
  const divisors = Array.from({ length: sequences }, (_, i) => sequences - i).filter(
    (size) => sequences % size === 0,
  );
  const sizes = request.microBatch === undefined ? divisors : [request.microBatch];
  const kinds: readonly Recomputation[] =
    request.recomputation === undefined ? ["none", "blocks"] : [request.recomputation];
  return kinds.flatMap((recomputation) => {
    return sizes.map((microBatch) => ({ microBatch, recomputation }));
  });
}

function planOf(request: PlanRequest, choice: Choice): TrainingPlan {
  const bytes = predictMemory({ ...request, threads: request.threads ?? 1, ...choice });
  const total = totalBytes(bytes);
  const verdict = verdictOf(total, request.memoryBytesMax);
  const sentence = sentenceOf(request, choice, { bytes, verdict });
  return { verdict, ...choice, bytes, totalBytes: total, sentence };
}

function verdictOf(total: number, limit: number | undefined): TrainingPlan["verdict"] {
  if (limit === undefined) return "unknown";
  if (total * (1 + ERROR) <= limit) return "fits";
  return total * (1 - ERROR) > limit ? "tooLarge" : "unknown";
}

function sentenceOf(
  request: PlanRequest,
  { microBatch, recomputation }: Choice,
  { bytes, verdict }: { readonly bytes: MemoryParts; readonly verdict: TrainingPlan["verdict"] },
): string {
  const { memoryBytesMax: limit, batch } = request;
  const whole = microBatch === batch.sequences;
  const how = whole ? "the whole batch at once" : `${microBatch} of ${batch.sequences} sequences`;
  const again = recomputation === "blocks" ? ", blocks computed twice" : "";
  const parts = `${how}${again}; ${partsText(bytes)}`;
  const need = `needs about ${megabytes(totalBytes(bytes))}`;
  if (limit === undefined) return `training ${need} (${parts}); how much it may take is not known`;
  const may = `of the ${megabytes(limit)} that it may take (${parts})`;
  if (verdict === "fits") return `training ${need} ${may}`;
  if (verdict === "unknown") return `training ${need} ${may}: too close to be sure`;
  return `training does not fit: even at its smallest it ${need} ${may}`;
}

const PART_NAMES: Readonly<Record<keyof MemoryParts, string>> = {
  weights: "weights",
  gradients: "gradients",
  optimizer: "optimiser",
  activations: "activations",
  runtime: "runtime",
  other: "other",
};

/** "weights 13 MB, gradients 13 MB, …", without what is nothing. */
function partsText(bytes: MemoryParts): string {
  const entries = Object.entries(bytes) as [keyof MemoryParts, number][];
  const told = entries.filter(([, size]) => size > 0);
  return told.map(([part, size]) => `${PART_NAMES[part]} ${megabytes(size)}`).join(", ");
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
