// What fine-tuning takes of memory before anything is loaded, and how much of a step is computed
// at once. An estimate: `--dry-run` measures.
import type { AdapterConfig } from "@manyhands/engine/adapters/config";
import { adapterCount } from "@manyhands/engine/adapters/config";
import { type ModelConfig, parameterCount, parameterSpecs } from "@manyhands/engine/model/config";
import { type BaseKind, storedBytes, storedKind } from "@manyhands/engine/quantize/kinds";

export type TuningShape = {
  readonly config: ModelConfig;
  readonly base: BaseKind;
  /** null: all weights are trained. */
  readonly adapter: AdapterConfig | null;
  readonly sequence: number;
};

export type MemoryNeed = {
  readonly baseBytes: number;
  /** Trainable weights, their gradients and two moments. */
  readonly trainedBytes: number;
  readonly activationBytes: number;
  readonly totalBytes: number;
  readonly trainables: number;
};

const FLOAT_BYTES = 4;
/** What the person's other programs keep. */
const FREE_SHARE = 0.9;
const MICRO_BATCH_MAX = 8;
/** Node and the runtime's own code. */
const PROGRAM_BYTES = 150e6;

export function memoryNeed(shape: TuningShape, microBatch: number): MemoryNeed {
  const { config, base, adapter, sequence } = shape;
  const specs = parameterSpecs(config);
  const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
  const baseBytes = adapter
    ? specs.reduce((sum, spec) => sum + storedBytes(storedKind(spec, base), size(spec.shape)), 0)
    : 0;
  const trainables = adapter ? adapterCount(config, adapter) : parameterCount(config);
  const trainedBytes = trainables * FLOAT_BYTES * 4;
  const activationBytes = activationBytesOf(shape, microBatch * sequence);
  const totalBytes = PROGRAM_BYTES + baseBytes + trainedBytes + activationBytes;
  return { baseBytes, trainedBytes, activationBytes, totalBytes, trainables };
}

/** Rough until the planner says it. */
function activationBytesOf({ config, sequence }: TuningShape, tokens: number): number {
  return FLOAT_BYTES * tokens * (config.vocabSize * 2 + sequence + 64);
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
