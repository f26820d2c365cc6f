// How the validation tokens are cut: non-overlapping windows that predict every token but the first
// exactly once. It deliberately does not run a model.
import { assert } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";

/** Inputs are tokens start … start + length − 1; targets lie one further. */
export type Window = { readonly start: number; readonly length: number };

/** Windows at 0, T, 2T …; the last may be shorter. */
export class ValidationWindows {
  /** How many windows there are. */
  readonly count: number;
  /** Every token but the first. */
  readonly predictedTokens: number;
  readonly #contextLength: number;

  /** @throws InputError if there are fewer than two tokens: nothing could be predicted */
  constructor(tokenCount: number, contextLength: number) {
    const counts = Number.isSafeInteger(contextLength) && contextLength >= 1;
    assert(counts, `contextLength is an integer ≥ 1, found ${contextLength}`);
    if (tokenCount < 2) {
      throw new InputError(`the validation split has ${tokenCount} tokens; it needs two or more`, {
        hint: "add data, or raise validationBps",
      });
    }
    this.predictedTokens = tokenCount - 1;
    this.count = Math.ceil(this.predictedTokens / contextLength);
    this.#contextLength = contextLength;
  }

  at(index: number): Window {
    const inside = Number.isInteger(index) && index >= 0 && index < this.count;
    assert(inside, `no window ${index} among ${this.count}`);
    const start = index * this.#contextLength;
    return { start, length: Math.min(this.#contextLength, this.predictedTokens - start) };
  }
}

/**
 * ⌊i · total / wanted⌋ for i = 0 … wanted − 1: an evenly spread, ascending choice without repeats;
 * all of them if `wanted` is `total` or more.
 */
export function spreadIndices(total: number, wanted: number): number[] {
  const count = Math.min(total, wanted);
  return Array.from({ length: count }, (_, i) => Math.floor((i * total) / count));
}
