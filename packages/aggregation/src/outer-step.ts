// The outer step: the aggregate moves the shared weights (spec §2.12).
// Not the inner optimiser: that one runs in the engine, in arithmetic that may differ by device.
import { assert } from "@manyhands/base/assert";
import {
  allFragments,
  assertCovered,
  assertFits,
  coveredRanges,
  type Fragment,
} from "./fragments.ts";

/** SGD on the pseudo-gradient; momentum 0 needs no buffer, anything else makes it public state. */
export type OuterRule = {
  readonly learningRate: number;
  /** μ in [0, 1). */
  readonly momentum: number;
  /** Nesterov's look-ahead; without it, heavy ball. Not read when momentum is 0. */
  readonly nesterov: boolean;
};

/** Plain averaging of models: θ′ = θ − mean(θ − θ_local). */
export const PLAIN_OUTER_RULE: OuterRule = { learningRate: 1, momentum: 0, nesterov: false };

export type OuterStepOptions = {
  readonly fragments: readonly Fragment[];
  readonly covered?: readonly number[] | undefined;
  /** θ, overwritten by outerStepInto. */
  readonly weights: Float32Array;
  /** v, overwritten by outerStepInto: there exactly if the rule has momentum. */
  readonly momentum?: Float32Array | undefined;
  /** u, the decoded aggregate. Read only. */
  readonly aggregate: Float32Array;
  readonly rule: OuterRule;
};

/**
 * θ′ = fround(θ − fround(lr · d)) over the covered fragments, where d = u without momentum; with it
 * v′ = fround(fround(μ · v) + u), and d = v′ (heavy ball) or fround(fround(μ · v′) + u) (Nesterov).
 * Fragments that are not covered keep weights and momentum.
 *
 * @source Sutskever et al. 2013 in PyTorch's form; DiLoCo, arXiv:2311.08105 · docs/spec §2.12
 */
export function outerStepInto(options: OuterStepOptions): void {
  const { fragments, weights, momentum, aggregate, rule } = options;
  assertOuterRule(rule, momentum);
  assertFits(fragments, weights, "weights");
  assertFits(fragments, aggregate, "aggregate");
  const covered = options.covered ?? allFragments(fragments);
  assertCovered(fragments, covered);
  if (momentum) assertFits(fragments, momentum, "momentum");
  for (const { from, to } of coveredRanges(fragments, covered)) {
    const theta = weights.subarray(from, to);
    const u = aggregate.subarray(from, to);
    if (momentum) momentumStepInto(theta, momentum.subarray(from, to), u, rule);
    else sgdStepInto(theta, u, rule.learningRate);
  }
}

// Every store into a Float32Array is a fround. In the plain step the inner one is a store too:
// V8's middle tier calls out for Math.fround, and the whole step then takes three times as long.

function sgdStepInto(theta: Float32Array, u: Float32Array, learningRate: number): void {
  const rounded = new Float32Array(1);
  for (let i = 0; i < theta.length; i++) {
    rounded[0] = learningRate * (u[i] as number);
    theta[i] = (theta[i] as number) - (rounded[0] as number);
  }
}

function momentumStepInto(
  theta: Float32Array,
  v: Float32Array,
  u: Float32Array,
  rule: OuterRule,
): void {
  const { learningRate, momentum: mu, nesterov } = rule;
  for (let i = 0; i < theta.length; i++) {
    const gradient = u[i] as number;
    const velocity = Math.fround(Math.fround(mu * (v[i] as number)) + gradient);
    const step = nesterov ? Math.fround(Math.fround(mu * velocity) + gradient) : velocity;
    v[i] = velocity;
    theta[i] = (theta[i] as number) - Math.fround(learningRate * step);
  }
}

/** @throws AssertionError unless the rule is in range, with a momentum buffer exactly if μ > 0 */
export function assertOuterRule(rule: OuterRule, momentum: Float32Array | undefined): void {
  const { learningRate, momentum: mu } = rule;
  assert(learningRate > 0 && learningRate <= 16, `outer learning rate in (0, 16]: ${learningRate}`);
  assert(mu >= 0 && mu < 1, `outer momentum in [0, 1): ${mu}`);
  const needed = mu > 0;
  assert(needed === (momentum !== undefined), "a momentum buffer exactly if μ > 0");
}
