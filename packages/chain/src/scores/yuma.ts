// Yuma consensus: what validators with stakes say of subjects, as one share for each of them.
// Integers only. Not who they are, and not how their scores came here.
import { assert } from "@manyhands/base/assert";

/** One validator: its stake, and a score for each subject. */
export type Opinion = { readonly stake: bigint; readonly scores: readonly bigint[] };

/** Weights are fractions of it: a row of scores is normalised to sum to at most 1. */
export const WEIGHT_ONE = 1n << 64n;

/** By subject, or by validator, in the order of the arguments. */
export type Consensus = {
  /** C_j: what at least half of all stake grants subject j, as a weight. */
  readonly consensus: readonly bigint[];
  /** R_j = Σ_i stake_i · min(w_ij, C_j); Yuma's incentive is R_j / ΣR. */
  readonly ranks: readonly bigint[];
  /** T_i = Σ_j min(w_ij, C_j): how much of what validator i said was agreed with, as a weight. */
  readonly trust: readonly bigint[];
  /** stake_i · T_i; validator i's dividend is its share of their sum. */
  readonly dividends: readonly bigint[];
};

/**
 * Combines opinions, in exact integers.
 *
 *   w_ij = ⌊score_ij · 2⁶⁴ / Σ_k score_ik⌋ (all 0 in a row without a score)
 *   C_j  = the largest w with 2 · Σ_{i : w_ij ≥ w} stake_i ≥ Σ_i stake_i; 0 if there is none
 *
 * Whoever says nothing keeps its stake in the sum: those who stay away cannot make a majority of a
 * minority. Validators with less than half of the stake can raise no C_j above the largest weight
 * that one of the others gives to j.
 *
 * Classic bonds without earlier ones are B_ij = stake_i · w̄_ij / R_j: then validator i's dividend,
 * Σ_j B_ij · R_j / ΣR, is stake_i · T_i / ΣR, with no column to divide.
 *
 * @param opinions each with a score ≥ 0 for every subject, and a stake ≥ 0
 * @param subjects how many there are: the length of each row
 * @source Opentensor, subtensor, `epoch` with its defaults, κ = ½ exactly; docs/spec §9.6
 */
export function yuma(opinions: readonly Opinion[], subjects: number): Consensus {
  const stakes = opinions.map(({ stake }) => stake);
  const weights = opinions.map((opinion) => weightsOf(opinion, subjects));
  const all = sum(stakes);
  const consensus = Array.from({ length: subjects }, (_, j) =>
    consensusOf(
      weights.map((row) => row[j] ?? 0n),
      stakes,
      all,
    ),
  );
  const clipped = weights.map((row) => row.map((weight, j) => least(weight, consensus[j] ?? 0n)));
  const trust = clipped.map(sum);
  return {
    consensus,
    ranks: consensus.map((_, j) =>
      sum(clipped.map((row, i) => (stakes[i] ?? 0n) * (row[j] ?? 0n))),
    ),
    trust,
    dividends: trust.map((one, i) => (stakes[i] ?? 0n) * one),
  };
}

/**
 * A whole, dealt out in proportion and rounded down: ⌊whole · part_j / Σ parts⌋.
 *
 * @returns null if all parts are 0: then nobody said anything
 */
export function dealtOut(whole: bigint, parts: readonly bigint[]): readonly bigint[] | null {
  const all = sum(parts);
  return all === 0n ? null : parts.map((part) => (whole * part) / all);
}

function weightsOf({ stake, scores }: Opinion, subjects: number): readonly bigint[] {
  assert(scores.length === subjects, `${scores.length} scores for ${subjects} subjects`);
  assert(stake >= 0n && scores.every((score) => score >= 0n), "stakes and scores are not negative");
  const all = sum(scores);
  return scores.map((score) => (all === 0n ? 0n : (score * WEIGHT_ONE) / all));
}

/** The largest of a column's weights that at least half of the stake reaches. */
function consensusOf(column: readonly bigint[], stakes: readonly bigint[], all: bigint): bigint {
  const order = column.map((weight, i) => ({ weight, stake: stakes[i] ?? 0n }));
  order.sort((a, b) => (a.weight < b.weight ? 1 : a.weight > b.weight ? -1 : 0));
  let support = 0n;
  for (const { weight, stake } of order) {
    support += stake;
    if (support > 0n && 2n * support >= all) return weight;
  }
  return 0n;
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function sum(numbers: readonly bigint[]): bigint {
  return numbers.reduce((total, one) => total + one, 0n);
}
