// A seeded shuffle of 0 … size − 1 that gives any element alone, without a table: a Feistel network
// over Philox, walked until it lands inside. Not for secrets.
import { assert } from "@manyhands/base/assert";
import { type PhiloxBlock, type PhiloxKey, philox } from "@manyhands/base/random";

const WORDS = 0x1_0000_0000;
const ROUNDS = 6;
/** The counter's last word: Random draws with 0, phases with 1, round r with ROUND_DOMAIN + r. */
const PHASE_DOMAIN = 1;
const ROUND_DOMAIN = 2;

/** The Philox key of a seed: its low and high 32 bits, as in base's Random. */
function keyOf(seed: number): PhiloxKey {
  assert(Number.isSafeInteger(seed) && seed >= 0, `a seed is an integer ≥ 0, found ${seed}`);
  return [seed >>> 0, Math.floor(seed / WORDS)];
}

/** One 32-bit word for an epoch: philox((0, epoch low, epoch high, 1), seed)[0]. */
export function epochWord(seed: number, epoch: number): number {
  return philox([0, epoch >>> 0, Math.floor(epoch / WORDS), PHASE_DOMAIN], keyOf(seed))[0];
}

/** A bijection of 0 … size − 1 for each (seed, epoch). */
export class Permutation {
  readonly #key: PhiloxKey;
  readonly #size: number;
  readonly #half: number;

  /** @param size 1 … 2⁵² */
  constructor(seed: number, size: number) {
    const fits = Number.isSafeInteger(size) && size >= 1 && size <= 2 ** 52;
    assert(fits, `a permutation's size is an integer from 1 to 2⁵², found ${size}`);
    this.#key = keyOf(seed);
    this.#size = size;
    let half = 2;
    while (half * half < size) half *= 2;
    this.#half = half;
  }

  /**
   * Where `index` goes. The network permutes 0 … half² − 1 ⊇ 0 … size − 1; a value outside goes in
   * again, which ends inside because a cycle that starts inside returns there.
   *
   * @source cycle walking: Black & Rogaway 2002, "Ciphers with arbitrary finite domains"
   */
  at(epoch: number, index: number): number {
    const inside = Number.isSafeInteger(index) && index >= 0 && index < this.#size;
    assert(inside, `no element ${index} among ${this.#size}`);
    let value = index;
    do value = this.#network(epoch, value);
    while (value >= this.#size);
    return value;
  }

  /** Balanced Feistel: (left, right) → (right, left ⊕ F(right)), ROUNDS times. */
  #network(epoch: number, value: number): number {
    const half = this.#half;
    let left = Math.floor(value / half);
    let right = value % half;
    for (let round = 0; round < ROUNDS; round++) {
      const counter: PhiloxBlock = [
        right,
        epoch >>> 0,
        Math.floor(epoch / WORDS),
        ROUND_DOMAIN + round,
      ];
      const mixed = (left ^ philox(counter, this.#key)[0]) & (half - 1);
      left = right;
      right = mixed;
    }
    return left * half + right;
  }
}
