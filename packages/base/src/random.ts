// Philox4x32-10: a counter-based generator. Draw number n of a stream is a function of (key, n), so
// any peer recomputes any draw without running the ones before it. Integers only: bit-exact
// everywhere. Not for keys: a seed has at most 53 bits.
import { assert } from "./assert.ts";

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** 2³²: how many values a word has. */
const WORDS = 0x1_0000_0000;

export type PhiloxKey = readonly [number, number];
export type PhiloxBlock = readonly [number, number, number, number];

/** The high 32 bits of a 32 × 32 product, by 16-bit halves. */
function mulHigh(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const low = aLow * bLow;
  const middle1 = aHigh * bLow + (low >>> 16);
  const middle2 = aLow * bHigh + (middle1 & 0xffff);
  return (aHigh * bHigh + Math.floor(middle1 / 65536) + Math.floor(middle2 / 65536)) >>> 0;
}

/**
 * One block of four 32-bit words.
 *
 * @source Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"; vectors:
 *         Random123's known answers
 */
export function philox(counter: PhiloxBlock, key: PhiloxKey): PhiloxBlock {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = mulHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A stream of draws from one seed. The stream id separates uses of the same seed. */
export class Random {
  readonly #key: PhiloxKey;
  readonly #stream: number;
  #block = 0;
  #words: PhiloxBlock = [0, 0, 0, 0];
  #left = 0;

  /**
   * @param seed   a safe integer ≥ 0; its low and high 32 bits are the key
   * @param stream 0 … 2³² − 1
   */
  constructor(seed: number, stream = 0) {
    assert(Number.isSafeInteger(seed) && seed >= 0, `a seed is an integer ≥ 0, found ${seed}`);
    this.#key = [seed >>> 0, Math.floor(seed / WORDS)];
    const fits = Number.isInteger(stream) && stream >= 0 && stream < WORDS;
    assert(fits, `a stream is an integer from 0 to 2³² − 1, found ${stream}`);
    this.#stream = stream;
  }

  /** A uniform 32-bit word. */
  word(): number {
    if (this.#left === 0) {
      const high = Math.floor(this.#block / WORDS);
      this.#words = philox([this.#block >>> 0, high, this.#stream, 0], this.#key);
      this.#block += 1;
      this.#left = 4;
    }
    this.#left -= 1;
    return this.#words[3 - this.#left] as number;
  }

  /** A uniform double in [0, 1), with 32 bits. */
  unit(): number {
    return this.word() / WORDS;
  }

  /** A uniform integer in [0, bound), without modulo bias (rejection). */
  below(bound: number): number {
    assert(Number.isInteger(bound) && bound > 0 && bound <= WORDS, `bad bound ${bound}`);
    const limit = WORDS - (WORDS % bound);
    let word = this.word();
    while (word >= limit) word = this.word();
    return word % bound;
  }
}
