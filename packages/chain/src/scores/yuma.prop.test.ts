// Yuma consensus: a vector from an implementation in floats, and what must hold for any opinions.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { dealtOut, type Opinion, WEIGHT_ONE, yuma } from "./yuma.ts";

const opinion = (stake: number, ...scores: readonly number[]): Opinion => ({
  stake: BigInt(stake),
  scores: scores.map(BigInt),
});
const total = (numbers: readonly bigint[]): bigint => numbers.reduce((a, b) => a + b, 0n);
/** In parts of a whole, to so many digits. */
const fractions = (parts: readonly bigint[], whole: bigint, digits: number): readonly string[] =>
  parts.map((part) => (Number((part * 10n ** 12n) / whole) / 1e12).toFixed(digits));

test("two validators that nearly agree, and a cabal of a fifth of the stake", () => {
  const found = yuma([opinion(5, 5, 3, 2), opinion(3, 4, 4, 2), opinion(2, 0, 0, 1)], 3);
  assert.deepEqual(fractions(found.consensus, WEIGHT_ONE, 4), ["0.5000", "0.3000", "0.2000"]);
  const incentive = fractions(found.ranks, total(found.ranks), 4);
  assert.deepEqual(incentive, ["0.4568", "0.2963", "0.2469"]);
  assert.deepEqual(fractions(found.trust, WEIGHT_ONE, 1), ["1.0", "0.9", "0.2"]);
  const dividends = fractions(found.dividends, total(found.dividends), 4);
  assert.deepEqual(dividends, ["0.6173", "0.3333", "0.0494"]);
});

test("nobody, nothing, no stake: no consensus, and no division by nothing", () => {
  for (const opinions of [
    [],
    [opinion(0, 1, 2)],
    [opinion(7, 0, 0)],
    [opinion(7, 0, 0), opinion(0, 1, 1)],
  ]) {
    const { consensus, ranks } = yuma(opinions, 2);
    assert.deepEqual([...consensus, ...ranks], [0n, 0n, 0n, 0n]);
    assert.equal(dealtOut(100n, consensus), null);
  }
  assert.deepEqual(yuma([opinion(1)], 0).consensus, []);
});

test("one validator is the consensus", () => {
  const { consensus } = yuma([opinion(9, 1, 3, 0)], 3);
  assert.deepEqual(dealtOut(1_000n, consensus), [250n, 750n, 0n]);
});

test("those who stay away do not make a majority of a minority", () => {
  const { consensus } = yuma([opinion(49, 1, 0), opinion(51, 0, 0)], 2);
  assert.deepEqual(consensus, [0n, 0n]);
});

test("scores that do not fit their subjects, or are negative, are a bug", () => {
  assert.throws(() => yuma([opinion(1, 1)], 2), /1 scores for 2 subjects/);
  assert.throws(() => yuma([opinion(1, -1)], 1), /not negative/);
});

const SUBJECTS = 5;
const score = fc.oneof(fc.constant(0n), fc.bigInt(0n, 9n), fc.bigInt(0n, 1_000_000_000n));
const row = fc.array(score, { minLength: SUBJECTS, maxLength: SUBJECTS });
const stake = fc.oneof(fc.constant(0n), fc.bigInt(0n, 9n), fc.bigInt(0n, 1_000_000_000n));
const opinions = fc.array(fc.record({ stake, scores: row }), { maxLength: 7 });

test("whatever a minority by stake says, nobody gets more than one of the majority grants", () => {
  fc.assert(
    fc.property(opinions, opinions, (honest, others) => {
      const [honestStake, otherStake] = [honest, others].map((all) =>
        total(all.map((one) => one.stake)),
      ) as [bigint, bigint];
      fc.pre(otherStake < honestStake);
      const alone = honest.map((one) => yuma([{ ...one, stake: 1n }], SUBJECTS).consensus);
      const { consensus, trust } = yuma([...honest, ...others], SUBJECTS);
      for (const [j, weight] of consensus.entries()) {
        const most = alone.reduce((max, one) => ((one[j] ?? 0n) > max ? (one[j] ?? 0n) : max), 0n);
        assert.ok(weight <= most, `subject ${j}: ${weight} above ${most}`);
      }
      assert.ok(trust.every((one) => one <= WEIGHT_ONE));
    }),
  );
});

test("where a majority agrees, a minority changes nothing", () => {
  fc.assert(
    fc.property(
      row,
      fc.array(fc.bigInt(1n, 9n), { minLength: 1, maxLength: 4 }),
      opinions,
      (scores, stakes, others) => {
        const honest = stakes.map((each) => ({ stake: each, scores }));
        fc.pre(total(others.map((one) => one.stake)) < total(stakes));
        const agreed = yuma([{ stake: 1n, scores }], SUBJECTS).consensus;
        assert.deepEqual(yuma([...others, ...honest], SUBJECTS).consensus, agreed);
      },
    ),
  );
});

test("neither the order of validators nor that of subjects means anything", () => {
  const order = fc.shuffledSubarray([...Array(SUBJECTS).keys()], { minLength: SUBJECTS });
  const both = opinions.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }), order),
  );
  fc.assert(
    fc.property(both, ([all, shuffled, places]) => {
      const { consensus, ranks } = yuma(all, SUBJECTS);
      const moved = yuma(
        shuffled.map((one) => ({ ...one, scores: places.map((at) => one.scores[at] ?? 0n) })),
        SUBJECTS,
      );
      assert.deepEqual(
        moved.consensus,
        places.map((at) => consensus[at]),
      );
      assert.deepEqual(
        moved.ranks,
        places.map((at) => ranks[at]),
      );
    }),
  );
});

test("equal opinions give shares in proportion, to a unit, and never more than the whole", () => {
  const stakes = fc.array(fc.bigInt(1n, 1_000n), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(row, stakes, fc.bigInt(0n, 10n ** 15n), (scores, each, whole) => {
      const { consensus } = yuma(
        each.map((one) => ({ stake: one, scores })),
        SUBJECTS,
      );
      const shares = dealtOut(whole, consensus);
      const all = total(scores);
      assert.equal(shares === null, all === 0n);
      if (!shares) return;
      assert.ok(total(shares) <= whole);
      for (const [j, share] of shares.entries()) {
        const exact = (whole * (scores[j] ?? 0n)) / all;
        assert.ok(share - exact <= 1n && exact - share <= 1n, `${share} for ${exact}`);
      }
    }),
  );
});
