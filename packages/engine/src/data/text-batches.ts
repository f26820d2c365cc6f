// Batches of one fixed shape from documents: packed one after the other, or one document per row.
// Which tokens a row has is a pure function of (seed, row), so a run resumes at any step.
import { assert, defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { Permutation } from "./permutation.ts";
import { Sampler } from "./sampler.ts";
import type { TokenStore } from "./token-store.ts";

/**
 * packed: documents are joined and cut into windows, so no token is padding; a window may hold the
 * end of one document and the beginning of another, and attention sees both, as is common practice.
 * padded: every document begins a row of its own, and a row's rest is padding.
 */
export type Layout = "packed" | "padded";

export type TextBatch = {
  /** (rows, sequence): what the model reads. */
  readonly tokens: Int32Array;
  /** (rows, sequence): what it is to say next; −1 where that is not counted. */
  readonly targets: Int32Array;
};

export type TextBatchesOptions = {
  readonly store: TokenStore;
  /** T: tokens of a row. */
  readonly sequence: number;
  readonly layout: Layout;
  readonly seed: number;
  readonly padId: number;
};

/** A row in file order: its tokens begin at `start` and end at most at `end`. */
type Row = { readonly start: number; readonly end: number };

export const NOT_COUNTED = -1;

export class TextBatches {
  readonly sequence: number;
  /** Rows of one pass over the data. */
  readonly rowsPerEpoch: number;
  readonly #tokens: Int32Array;
  readonly #counted: Uint8Array;
  /** In file order, without those that teach nothing. */
  readonly #rows: readonly Row[];
  readonly #padId: number;
  /** Packed: windows that move from epoch to epoch. Padded: the rows, shuffled. */
  readonly #windows: Sampler | undefined;
  readonly #order: Permutation;

  /** @throws InputError if the documents have no token to learn, or too few for one packed row */
  constructor({ store, sequence, layout, seed, padId }: TextBatchesOptions) {
    assert(Number.isSafeInteger(sequence) && sequence >= 1, `a sequence of ${sequence} tokens`);
    const { tokens, counted } = store.view();
    this.sequence = sequence;
    this.#tokens = tokens;
    this.#counted = counted;
    this.#padId = padId;
    const starts = layout === "packed" ? [0] : store.starts;
    this.#rows = starts.flatMap((start, i) => {
      const end = layout === "packed" ? store.size : (starts[i + 1] ?? store.size);
      return rowsOf({ start, end }, sequence).filter((row) => this.#teaches(row));
    });
    if (this.#rows.length === 0) {
      throw new InputError("the data has no token to learn", {
        hint: "no assistant's turn or completion was found; --loss all counts every token",
      });
    }
    const fits = store.size > sequence;
    // What is shorter than a window is one padded row.
    this.#windows =
      layout === "packed" && fits
        ? new Sampler({ train: tokens, contextLength: sequence, seed })
        : undefined;
    this.rowsPerEpoch = this.#windows?.windowsPerEpoch ?? this.#rows.length;
    this.#order = new Permutation(seed, this.#rows.length);
  }

  /** Writes rows firstRow … firstRow + count − 1 of an endless order, shuffled in every epoch. */
  fill(firstRow: number, count: number, out: TextBatch): void {
    this.#check(count, out);
    for (let i = 0; i < count; i++) this.#write(this.#rowAt(firstRow + i), i, out);
  }

  /** Every row once, in file order, in batches; what a last batch lacks is not counted. */
  *inOrder(count: number): Generator<TextBatch> {
    for (let first = 0; first < this.#rows.length; first += count) {
      const size = count * this.sequence;
      const out = {
        tokens: new Int32Array(size).fill(this.#padId),
        targets: new Int32Array(size).fill(NOT_COUNTED),
      };
      for (const [i, row] of this.#rows.slice(first, first + count).entries()) {
        this.#write(row, i, out);
      }
      yield out;
    }
  }

  /** How many rows inOrder has. */
  get rowCount(): number {
    return this.#rows.length;
  }

  #rowAt(index: number): Row {
    const windows = this.#windows;
    if (!windows) {
      const epoch = Math.floor(index / this.#rows.length);
      const place = this.#order.at(epoch, index % this.#rows.length);
      return defined(this.#rows[place], `row ${place}`);
    }
    // A window without anything to learn (a long prompt) gives its place to the next that has.
    for (let i = 0; i < windows.windowsPerEpoch; i++) {
      const start = windows.windowStart(index + i);
      const row = { start, end: start + this.sequence + 1 };
      if (this.#teaches(row)) return row;
    }
    return defined(this.#rows[index % this.#rows.length], "a row that teaches");
  }

  #teaches({ start, end }: Row): boolean {
    return this.#counted.subarray(start + 1, end).includes(1);
  }

  #write({ start, end }: Row, place: number, { tokens, targets }: TextBatch): void {
    const at = place * this.sequence;
    const length = Math.min(this.sequence, end - start - 1);
    tokens.fill(this.#padId, at, at + this.sequence);
    targets.fill(NOT_COUNTED, at, at + this.sequence);
    tokens.set(this.#tokens.subarray(start, start + length), at);
    for (let i = 0; i < length; i++) {
      const next = start + i + 1;
      if (this.#counted[next] === 1) targets[at + i] = this.#tokens[next] ?? NOT_COUNTED;
    }
  }

  #check(count: number, { tokens, targets }: TextBatch): void {
    const size = count * this.sequence;
    const fits = tokens.length === size && targets.length === size;
    assert(fits, `a batch of ${count} rows has ${count} × ${this.sequence} tokens and targets`);
  }
}

/** Consecutive rows of T tokens and one more, each token predicted once. */
function rowsOf({ start, end }: Row, sequence: number): Row[] {
  const rows: Row[] = [];
  for (let from = start; from + 1 < end; from += sequence) {
    rows.push({ start: from, end: Math.min(end, from + sequence + 1) });
  }
  return rows;
}
