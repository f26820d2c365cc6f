// The tokens of many documents, one after the other, with which of them are to be predicted.
// It grows as documents come; it draws no samples.
import { assert } from "@manyhands/base/assert";

const FIRST_CAPACITY = 1 << 16;

/** A document's tokens; `counted[i]` says whether predicting token i is part of the loss. */
export type Document = { readonly ids: readonly number[]; readonly counted: readonly boolean[] };

export class TokenStore {
  /** Where each document begins. */
  readonly starts: number[] = [];
  #tokens = new Int32Array(FIRST_CAPACITY);
  #counted = new Uint8Array(FIRST_CAPACITY);
  #size = 0;
  #countedTotal = 0;

  get size(): number {
    return this.#size;
  }

  /** How many tokens are to be predicted. */
  get countedTotal(): number {
    return this.#countedTotal;
  }

  /** @param continues whether the tokens belong to the document before */
  push({ ids, counted }: Document, continues = false): void {
    assert(ids.length === counted.length, "a document says of each token whether it counts");
    if (!continues || this.starts.length === 0) this.starts.push(this.#size);
    this.#reserve(this.#size + ids.length);
    for (const [i, id] of ids.entries()) {
      this.#tokens[this.#size + i] = id;
      if (counted[i] === true) {
        this.#counted[this.#size + i] = 1;
        this.#countedTotal += 1;
      }
    }
    this.#size += ids.length;
  }

  /** Views, valid until the next push. */
  view(): { readonly tokens: Int32Array; readonly counted: Uint8Array } {
    return {
      tokens: this.#tokens.subarray(0, this.#size),
      counted: this.#counted.subarray(0, this.#size),
    };
  }

  /** Takes everything from a token on out of this store and gives it as another. */
  cut(place: number): TokenStore {
    const other = new TokenStore();
    const starts = [...this.starts.filter((start) => start >= place), this.#size];
    const firsts = starts[0] === place ? starts : [place, ...starts];
    for (const [i, start] of firsts.slice(0, -1).entries()) {
      const end = firsts[i + 1] ?? this.#size;
      const counted = Array.from(this.#counted.subarray(start, end), (each) => each === 1);
      other.push({ ids: Array.from(this.#tokens.subarray(start, end)), counted });
    }
    this.#counted.fill(0, place, this.#size);
    this.starts.splice(0, this.starts.length, ...this.starts.filter((start) => start < place));
    this.#countedTotal -= other.countedTotal;
    this.#size = place;
    return other;
  }

  #reserve(size: number): void {
    if (size <= this.#tokens.length) return;
    const capacity = Math.max(size, Math.ceil(this.#tokens.length * 1.5));
    const tokens = new Int32Array(capacity);
    tokens.set(this.#tokens);
    this.#tokens = tokens;
    const counted = new Uint8Array(capacity);
    counted.set(this.#counted);
    this.#counted = counted;
  }
}
