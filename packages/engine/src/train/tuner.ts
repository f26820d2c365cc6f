// What fine-tuning is to its callers, whether adapters train or all weights do.
// It deliberately holds no logic but what both kinds share.
import { assert } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import type { ModelConfig } from "../model/config.ts";
import type { BatchShape } from "./batch-shape.ts";

/** A micro-batch: B·T ids, and for each the id that is to follow, −1 where that is not counted. */
export type TuneBatch = { readonly tokens: Int32Array; readonly targets: Int32Array };

/** What a checkpoint holds: with it the next step is the same bits. */
export type TuneState = {
  /** Steps taken. */
  readonly step: number;
  /** The trainable weights, flat. */
  readonly weights: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
};

export type TuneStep = {
  /** Mean cross-entropy over all counted tokens before the update, in nats. */
  readonly loss: number;
  /** The gradient's global norm before clipping. */
  readonly gradientNorm: number;
  /** Counted tokens. */
  readonly tokens: number;
};

export type TuneEvaluation = { readonly loss: number; readonly tokens: number };

export interface Tuner {
  readonly model: ModelConfig;
  /** One micro-batch. */
  readonly batch: BatchShape;
  /** The trainable weights, flat and live. */
  readonly weights: Float32Array;
  readonly stepsTaken: number;
  /**
   * One update from one micro-batch or several: gradients are those of the mean loss over all
   * counted tokens.
   *
   * @throws InputError    if no token is counted, or an id is not in the vocabulary
   * @throws DivergedError if loss or gradient is not finite; nothing has changed
   */
  step(
    batches: TuneBatch | readonly TuneBatch[],
    options: { readonly learningRate: number },
  ): Promise<TuneStep>;
  /** The mean loss over counted tokens, NaN if there is none; without dropout, nothing changes. */
  evaluate(batches: TuneBatch | readonly TuneBatch[]): Promise<TuneEvaluation>;
  /** Loss and gradients without an update; the gradients' array is reused by the next call. */
  gradients(
    batches: TuneBatch | readonly TuneBatch[],
  ): Promise<TuneEvaluation & { readonly gradients: Float32Array }>;
  /** A copy, for a checkpoint. */
  state(): TuneState;
  /** @throws InputError if the state belongs to another model or recipe */
  restore(state: TuneState): void;
  close(): Promise<void>;
}

export type TuneOptimizer = {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled; applies to matrices only. */
  readonly weightDecay: number;
  /** The gradient is scaled down to this global norm; Infinity for no clipping. */
  readonly gradientNormMax: number;
};

/** PEFT's examples' AdamW, with clipping at 1. */
export const TUNE_DEFAULTS: TuneOptimizer = {
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0,
  gradientNormMax: 1,
};

/** A micro-batch with what each token's loss counts in the mean. */
export type SharedBatch = {
  readonly ids: Int32Array;
  readonly targets: Int32Array;
  readonly share: Float32Array;
};

/** One micro-batch or several as a list, and how many tokens they count. */
export function shareBatches(
  batches: TuneBatch | readonly TuneBatch[],
  { sequences, contextLength }: BatchShape,
): { readonly tokens: number; readonly parts: readonly SharedBatch[] } {
  const list = "tokens" in batches ? [batches] : batches;
  const size = sequences * contextLength;
  let tokens = 0;
  for (const { tokens: ids, targets } of list) {
    assert(ids.length === size && targets.length === size, `a micro-batch has ${size} tokens`);
    tokens += targets.reduce((sum, target) => sum + (target >= 0 ? 1 : 0), 0);
  }
  const parts = list.map(({ tokens: ids, targets }) => {
    return { ids, targets, share: Float32Array.from(targets, (t) => (t >= 0 ? 1 / tokens : 0)) };
  });
  return { tokens, parts };
}

/** @throws InputError */
export function checkCounted(tokens: number): void {
  if (tokens > 0) return;
  throw new InputError("no token of this batch is counted in the loss", {
    hint: "every target is −1: the answers may have been cut off, or the batch is all prompt",
  });
}
