// What everything in a simulation shares: time, chance, the trace, the counters, the first failure.
// Not the actors: each has its own file.
import { createHash } from "node:crypto";
import { messageOf } from "@manyhands/base/errors";
import { Random } from "@manyhands/base/random";
import { VirtualTime } from "./virtual-time.ts";

/** Draws from one stream of the seed. */
export class Chance {
  readonly #random: Random;

  constructor(seed: number, stream: number) {
    this.#random = new Random(seed, stream);
  }

  unit(): number {
    return this.#random.unit();
  }

  /** An integer from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.#random.below(most - least + 1);
  }

  happens(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(items: readonly [T, ...T[]]): T;
  pick<T>(items: readonly T[]): T | undefined;
  pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.#random.below(items.length)];
  }

  /** A waiting time of a memoryless process with this mean. */
  waitMs(meanMs: number): number {
    return Math.floor(-Math.log(1 - this.unit()) * meanMs);
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#random.below(256));
  }
}

const STREAMS = { scenario: 1, network: 2, faults: 3, secrets: 4, liars: 5, devices: 6 } as const;

export class World {
  readonly seed: number;
  readonly time = new VirtualTime();
  readonly counters = new Map<string, number>();
  #calmAt: number | null = null;
  #failure: string | null = null;
  readonly #traceHash = createHash("sha256");
  readonly #onTrace: ((line: string) => void) | undefined;

  constructor(seed: number, onTrace?: (line: string) => void) {
    this.seed = seed;
    this.#onTrace = onTrace;
  }

  /** While it is, faults happen; afterwards only liars are left. */
  get stormy(): boolean {
    return this.#calmAt === null;
  }

  becomeCalm(): void {
    this.#calmAt ??= this.time.now();
  }

  /** For how long there have been no faults; 0 while there are. */
  calmMs(): number {
    return this.#calmAt === null ? 0 : this.time.now() - this.#calmAt;
  }

  chance(stream: keyof typeof STREAMS): Chance {
    return new Chance(this.seed, STREAMS[stream]);
  }

  count(what: string, by = 1): void {
    this.counters.set(what, (this.counters.get(what) ?? 0) + by);
  }

  trace(who: string, what: string): void {
    const line = `${(this.time.now() / 1000).toFixed(3)} ${who}: ${what}`;
    this.#traceHash.update(`${line}\n`);
    this.#onTrace?.(line);
  }

  /** Hash of everything that was traced: two runs of a seed must agree in it. */
  traceHash(): string {
    return this.#traceHash.copy().digest("hex");
  }

  /** What must never happen has happened. The first is kept, and the simulation ends. */
  fail(what: string): void {
    if (this.#failure !== null) return;
    this.#failure = `at ${(this.time.now() / 1000).toFixed(3)} s: ${what}`;
    this.trace("FAILURE", what);
  }

  failFrom(who: string, caught: unknown): void {
    const place = caught instanceof Error ? (caught.stack ?? "") : "";
    this.fail(`${who}: ${messageOf(caught)}\n${place}`);
  }

  get failure(): string | null {
    return this.#failure;
  }
}
