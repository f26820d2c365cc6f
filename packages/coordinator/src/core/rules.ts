// The frozen run as the aggregation reads it. Not choices: all peers must come to the same values.
import type { RoundRules } from "@manyhands/aggregation/close-round";
import { WEIGHT_MAX } from "@manyhands/aggregation/mean";
import { err, ok, type Result } from "@manyhands/base/result";
import type { FrozenRun } from "@manyhands/protocol/run-config";

/**
 * Largest root mean square of one tensor of an update. A step of training moves a weight by well
 * under 1; an update of 64 would destroy the model, and an honest one never comes near.
 */
const UPDATE_RMS_MAX = 64;

export function roundRulesOf(run: FrozenRun): RoundRules {
  const { codec, outer } = run.recipe;
  return {
    codec,
    outer: { learningRate: outer.learningRate, momentum: outer.momentum, nesterov: false },
    limits: { rmsMax: UPDATE_RMS_MAX },
  };
}

/** Can this version host the run? The reason why not is a sentence for its owner. */
export function checkHostable(run: FrozenRun): Result<null, string> {
  const { momentum } = run.recipe.outer;
  return momentum === 0
    ? ok(null)
    : err(
        `recipe.outer.momentum: expected 0, found ${momentum}: ` +
          "this version has no way to give the outer momentum to a worker that joins later",
      );
}

/**
 * Weights of one close, small enough for the mean (WEIGHT_MAX). Too large ones are all divided by
 * one power of two, rounded down, at least 1: the same on every device, and never so for updates
 * below 2¹⁹ tokens.
 *
 * @source docs/spec §4.4
 */
export function fittingWeights(weights: readonly number[]): readonly number[] {
  const largest = weights.reduce((max, weight) => Math.max(max, weight), 0);
  let divisor = 1;
  while (Math.floor(largest / divisor) > WEIGHT_MAX) divisor *= 2;
  return weights.map((weight) => Math.max(1, Math.floor(weight / divisor)));
}
