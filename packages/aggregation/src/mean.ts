// The token-weighted mean of contributions, summed in one fixed order (spec §2.11).
// Not robust: one contribution within the screen's limit moves the mean by its share of the tokens.
import { assert } from "@manyhands/base/assert";
import { compareText } from "@manyhands/base/bytes";
import {
  assertCovered,
  assertFits,
  coveredRanges,
  elementCount,
  type Fragment,
} from "./fragments.ts";

/** Largest weight of one contribution: 2³¹ tokens × the protocol's 1024 for an update in time. */
export const WEIGHT_MAX = 2 ** 41;

/** What one device, or one group, gives to a round's mean. */
export type Contribution = {
  /** Names the contribution, once per round, and decides the order of summation. */
  readonly id: string;
  /** Tokens, fewer if the protocol counts it as late: an integer from 1 to WEIGHT_MAX. */
  readonly weight: number;
  readonly covered: readonly number[];
  /** The mean over the contribution's tokens; the whole state's length. Read only. */
  readonly values: Float32Array;
};

/** A group that added its members up: Σ weight · values, with the members' summed weight. */
export type GroupContribution = Omit<Contribution, "values"> & { readonly sums: Float64Array };

/**
 * mean[i] = fround(Σ_c weight_c · values_c[i] / Σ_c weight_c), over the contributions that cover i.
 * Contributions arrive one at a time, in ascending order of id, so that nobody holds them all.
 *
 * @numerics Σ in float64 in that order; each product and each sum rounds once
 */
export class WeightedMean {
  readonly #fragments: readonly Fragment[];
  readonly #sums: Float64Array;
  readonly #weights: Float64Array;
  #lastId: string | undefined;
  #weightTotal = 0;

  constructor(fragments: readonly Fragment[]) {
    this.#fragments = fragments;
    this.#sums = new Float64Array(elementCount(fragments));
    this.#weights = new Float64Array(fragments.length);
  }

  /** @throws AssertionError unless ids ascend strictly, and weight, coverage and length fit */
  add(contribution: Contribution): void {
    const { weight, values } = contribution;
    assert(weight <= WEIGHT_MAX, `a weight is at most 2^41, found ${weight}`);
    assertFits(this.#fragments, values, `values of ${contribution.id}`);
    this.#admit(contribution);
    const sums = this.#sums;
    for (const { from, to } of coveredRanges(this.#fragments, contribution.covered)) {
      for (let i = from; i < to; i++) {
        sums[i] = (sums[i] as number) + weight * (values[i] as number);
      }
    }
  }

  /** As add, for a group's sum. */
  addGroup(group: GroupContribution): void {
    const sums = this.#sums;
    assert(group.sums.length === sums.length, `sums of ${group.id} have the state's length`);
    this.#admit(group);
    for (const { from, to } of coveredRanges(this.#fragments, group.covered)) {
      for (let i = from; i < to; i++) sums[i] = (sums[i] as number) + (group.sums[i] as number);
    }
  }

  #admit(contribution: Omit<Contribution, "values">): void {
    const { id, weight, covered } = contribution;
    const last = this.#lastId;
    assert(
      last === undefined || compareText(last, id) < 0,
      `contributions come in ascending order of id, found ${id} after ${last}`,
    );
    assert(Number.isSafeInteger(weight) && weight >= 1, `a weight is an integer ≥ 1: ${weight}`);
    assertCovered(this.#fragments, covered);
    this.#weightTotal += weight;
    assert(Number.isSafeInteger(this.#weightTotal), "the sum of weights stays exact");
    this.#lastId = id;
    for (const index of covered) this.#weights[index] = (this.#weights[index] ?? 0) + weight;
  }

  /** Σ weights over all contributions so far: 0 before the first. */
  get weightTotal(): number {
    return this.#weightTotal;
  }

  /** The fragments that at least one contribution covers, ascending. */
  covered(): readonly number[] {
    return this.#fragments.map((_, index) => index).filter((index) => this.#weights[index] !== 0);
  }

  /** Writes the mean where covered, rounded by the store; other elements stay as they are. */
  meanInto(out: Float32Array): void {
    assertFits(this.#fragments, out, "room for the mean");
    const covered = this.covered();
    const ranges = coveredRanges(this.#fragments, covered);
    for (const [index, { from, to }] of ranges.entries()) {
      const total = this.#weights[covered[index] as number] as number;
      for (let i = from; i < to; i++) out[i] = (this.#sums[i] as number) / total;
    }
  }
}

/** In ascending order of id, as every mean adds them. @throws AssertionError on two equal ids */
export function inOrderOfId<C extends { readonly id: string }>(list: readonly C[]): readonly C[] {
  const sorted = list.toSorted((a, b) => compareText(a.id, b.id));
  for (const [index, { id }] of sorted.entries()) {
    assert(sorted[index + 1]?.id !== id, `one contribution per id and round, found ${id} twice`);
  }
  return sorted;
}

/** The mean of contributions that are all at hand, in any order; zero where nothing is covered. */
export function weightedMean(
  fragments: readonly Fragment[],
  contributions: readonly Contribution[],
): Float32Array {
  const mean = new WeightedMean(fragments);
  for (const contribution of inOrderOfId(contributions)) mean.add(contribution);
  const out = new Float32Array(elementCount(fragments));
  mean.meanInto(out);
  return out;
}
