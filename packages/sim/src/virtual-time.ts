// Time that only moves when something happens: a queue of events in order of their moment.
// Nothing here waits; a simulated hour takes as long as its events do.
import { assert } from "@manyhands/base/assert";

type Entry = { readonly at: number; readonly order: number; run: (() => void) | null };

/** Something that can die: what was arranged for it then does not happen. */
export type Life = { alive: boolean };

export class VirtualTime {
  #now = 0;
  #order = 0;
  /** A binary heap: the earliest entry first, of equal moments the one arranged first. */
  readonly #heap: Entry[] = [];

  now(): number {
    return this.#now;
  }

  /** Arranges a call in so many milliseconds. @returns a function that cancels it */
  after(ms: number, run: () => void): () => void {
    assert(ms >= 0, `time does not run backwards, found ${ms}`);
    this.#order += 1;
    const entry: Entry = { at: this.#now + ms, order: this.#order, run };
    this.#push(entry);
    return () => {
      entry.run = null;
    };
  }

  /** As `after`, unless that life has ended by then. */
  afterIn(life: Life, ms: number, run: () => void): () => void {
    return this.after(ms, () => {
      if (life.alive) run();
    });
  }

  /** Resolves after so many milliseconds; never, if that life ends before. */
  sleepIn(life: Life, ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.afterIn(life, ms, resolve);
    });
  }

  /** Lets the next event happen. @returns false if there is none */
  step(): boolean {
    for (let entry = this.#pop(); entry; entry = this.#pop()) {
      if (!entry.run) continue;
      this.#now = entry.at;
      entry.run();
      return true;
    }
    return false;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    heap.push(entry);
    let at = heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfEarlier(at, parent)) return;
      at = parent;
    }
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    heap[0] = last;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      const child = this.#isEarlier(right, left) ? right : left;
      if (!this.#swapIfEarlier(child, at)) return first;
      at = child;
    }
  }

  #isEarlier(index: number, other: number): boolean {
    const a = this.#heap[index];
    const b = this.#heap[other];
    if (!a || !b) return false;
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  #swapIfEarlier(index: number, other: number): boolean {
    const a = this.#heap[index];
    const b = this.#heap[other];
    if (!a || !b || !this.#isEarlier(index, other)) return false;
    this.#heap[index] = b;
    this.#heap[other] = a;
    return true;
  }
}
