// Which tokens a sample index stands for: a pure function of (seed, index), so that every peer and
// every auditor recomputes any batch. It deliberately has no position of its own.
// Spec: docs/spec/01-checkpoint.md §1.4.
import { assert } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { epochWord, Permutation } from "./permutation.ts";

/** Bytes, or the ids of a larger vocabulary. */
export type TokenArray = Uint8Array | Int32Array;

export type SamplerOptions = {
  /** The training tokens. */
  readonly train: TokenArray;
  /** T: tokens that one sample feeds in; it has one more, the last target. */
  readonly contextLength: number;
  /** A safe integer ≥ 0. */
  readonly seed: number;
};

/**
 * An epoch is a shuffled pass over windows that start at phase + k·T: each predicts T tokens, and
 * no token is predicted twice. The phase is drawn anew for each epoch, so that the cuts move.
 *
 *     windowsPerEpoch W = max(1, ⌊N / T⌋ − 1)      N training tokens
 *     phase            ∈ 0 … min(T, N − W·T) − 1
 *     sample i:  epoch = ⌊i / W⌋,  start = phase(epoch) + T · permutation(epoch, i mod W)
 */
export class Sampler {
  readonly windowsPerEpoch: number;
  readonly #train: TokenArray;
  readonly #contextLength: number;
  readonly #seed: number;
  readonly #phases: number;
  readonly #permutation: Permutation;

  /** @throws InputError if the training tokens are fewer than contextLength + 1 */
  constructor(options: SamplerOptions) {
    const { train, contextLength, seed } = options;
    const counts = Number.isSafeInteger(contextLength) && contextLength >= 1;
    assert(counts, `contextLength is an integer ≥ 1, found ${contextLength}`);
    if (train.length < contextLength + 1) {
      throw new InputError(
        `the training data has ${train.length} tokens; one sample needs ${contextLength + 1}`,
        { hint: "add data, or lower recipe.contextLength" },
      );
    }
    this.#train = train;
    this.#contextLength = contextLength;
    this.#seed = seed;
    this.windowsPerEpoch = Math.max(1, Math.floor(train.length / contextLength) - 1);
    const free = train.length - this.windowsPerEpoch * contextLength;
    this.#phases = Math.min(contextLength, free);
    this.#permutation = new Permutation(seed, this.windowsPerEpoch);
  }

  /** The first token of a sample's window, counted in the training tokens. */
  windowStart(sampleIndex: number): number {
    const valid = Number.isSafeInteger(sampleIndex) && sampleIndex >= 0;
    assert(valid, `a sample index is an integer ≥ 0, found ${sampleIndex}`);
    const epoch = Math.floor(sampleIndex / this.windowsPerEpoch);
    const place = this.#permutation.at(epoch, sampleIndex % this.windowsPerEpoch);
    return (epochWord(this.#seed, epoch) % this.#phases) + place * this.#contextLength;
  }

  /**
   * Writes samples firstSample … firstSample + sampleCount − 1, one row each.
   *
   * @param out (sampleCount, T + 1): a row's first T tokens are inputs, its last T the targets
   */
  fill(out: Int32Array, firstSample: number, sampleCount: number): void {
    const row = this.#contextLength + 1;
    assert(
      out.length === sampleCount * row,
      `a batch of ${sampleCount} samples has ${sampleCount} × ${row} tokens, found ${out.length}`,
    );
    for (let i = 0; i < sampleCount; i++) {
      const start = this.windowStart(firstSample + i);
      out.set(this.#train.subarray(start, start + row), i * row);
    }
  }
}
