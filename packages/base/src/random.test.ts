// Philox against Random123's known answers and a BigInt second implementation; streams and bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type PhiloxBlock, type PhiloxKey, philox, Random } from "./random.ts";

type Vector = { counter: PhiloxBlock; key: PhiloxKey; words: PhiloxBlock };

const ONES = 0xffffffff;

const KNOWN_ANSWERS: readonly Vector[] = [
  {
    counter: [0, 0, 0, 0],
    key: [0, 0],
    words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [ONES, ONES, ONES, ONES],
    key: [ONES, ONES],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

test("philox gives Random123's known answers (philox4x32, 10 rounds)", () => {
  for (const { counter, key, words } of KNOWN_ANSWERS) {
    assert.deepEqual(philox(counter, key), words);
  }
});

/** The paper's definition in exact integers. */
function philoxBig(counter: PhiloxBlock, key: PhiloxKey): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [c0 * 0xd2511f53n, c2 * 0xcd9e8d57n];
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    [k0, k1] = [(k0 + 0x9e3779b9n) & mask, (k1 + 0xbb67ae85n) & mask];
  }
  return [c0, c1, c2, c3].map(Number);
}

const word = fc.integer({ min: 0, max: ONES });

test("philox equals a BigInt implementation", () => {
  fc.assert(
    fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (counter, key) => {
      assert.deepEqual([...philox(counter, key)], philoxBig(counter, key));
    }),
    { numRuns: 500 },
  );
});

const words = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => random.word());

test("a stream is the blocks of its counter, in order", () => {
  const expected = [...philox([0, 0, 5, 0], [9, 0]), ...philox([1, 0, 5, 0], [9, 0])];
  assert.deepEqual(words(new Random(9, 5), 8), expected);
});

test("all 53 bits of a seed count, and streams of one seed differ", () => {
  const first = (seed: number, stream?: number): string =>
    words(new Random(seed, stream), 4).join();
  const seeds = [0, 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  assert.equal(new Set(seeds.map((seed) => first(seed))).size, seeds.length);
  assert.equal(new Set([0, 1, ONES].map((stream) => first(7, stream))).size, 3);
  assert.equal(first(7), first(7, 0));
});

test("a seed or stream that is not an exact integer in range is a bug", () => {
  for (const seed of [-1, 0.5, 2 ** 53, Number.NaN]) {
    assert.throws(() => new Random(seed), { name: "AssertionError" });
  }
  for (const stream of [-1, 0.5, 2 ** 32]) {
    assert.throws(() => new Random(1, stream), { name: "AssertionError" });
  }
});

test("unit is in [0, 1) and is the word over 2³²", () => {
  const [a, b] = [new Random(3), new Random(3)];
  for (let i = 0; i < 1000; i++) {
    const unit = a.unit();
    assert.equal(unit, b.word() / 2 ** 32);
    assert(unit >= 0 && unit < 1);
  }
});

test("below stays in range, reaches every value and is even", () => {
  for (const bound of [1, 2, 3, 7, 10]) {
    const random = new Random(bound);
    const counts = new Array<number>(bound).fill(0);
    const draws = 2000 * bound;
    for (let i = 0; i < draws; i++) {
      const drawn = random.below(bound);
      counts[drawn] = (counts[drawn] ?? Number.NaN) + 1;
    }
    // 6 standard deviations of a count with mean 2000.
    for (const count of counts) assert(Math.abs(count - 2000) < 6 * Math.sqrt(2000), `${counts}`);
  }
});

test("below rejects the words that would favour small values", () => {
  // With bound 3·2³⁰ a quarter of the words must be drawn again; without that, the first third
  // would come up half of the time.
  const bound = 3 * 2 ** 30;
  const random = new Random(1);
  let low = 0;
  for (let i = 0; i < 3000; i++) if (random.below(bound) < 2 ** 30) low += 1;
  assert(Math.abs(low - 1000) < 160, `${low} of 3000 in the first third`);
});

test("below takes 2³² and refuses zero, fractions and more", () => {
  assert.equal(new Random(5).below(2 ** 32), new Random(5).word());
  for (const bound of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
    assert.throws(() => new Random(1).below(bound), { name: "AssertionError" });
  }
});
