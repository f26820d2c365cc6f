// Screening: is a decoded update of a believable size? (spec §2.10)
// Not a judgement of usefulness: an update that passes may still be worthless or hostile.
import { assert } from "@manyhands/base/assert";
import { err, ok, type Result } from "@manyhands/base/result";
import { assertCovered, coveredRanges, type Fragment } from "./fragments.ts";

export type ScreenLimits = {
  /** Largest root mean square of one covered fragment; a run's config sets it. */
  readonly rmsMax: number;
};

/** Larger limits would let sums leave the range of f32, and a limit that large limits nothing. */
export const RMS_MAX_MAX = 2 ** 30;

export type UpdateReject =
  | { readonly code: "update/not-finite"; readonly fragment: number }
  | {
      readonly code: "update/norm";
      readonly fragment: number;
      readonly rms: number;
      readonly rmsMax: number;
    };

export type ScreenedUpdate = {
  /** Root mean square over all covered elements. */
  readonly rms: number;
};

/**
 * Every covered fragment is finite and its RMS at most the limit. Per fragment, so that a small
 * tensor (a norm's gain) cannot hide a blow-up behind the large ones.
 *
 * @numerics Σ v² in float64, in index order; accepted iff Σ v² ≤ rmsMax² · n
 * @source   docs/spec §2.10
 */
export function screenUpdate(options: {
  readonly fragments: readonly Fragment[];
  readonly covered: readonly number[];
  readonly values: Float32Array;
  readonly limits: ScreenLimits;
}): Result<ScreenedUpdate, UpdateReject> {
  const { fragments, covered, values, limits } = options;
  const { rmsMax } = limits;
  assert(rmsMax > 0 && rmsMax <= RMS_MAX_MAX, `rmsMax is in (0, 2^30], found ${rmsMax}`);
  assertCovered(fragments, covered);
  let squares = 0;
  let count = 0;
  for (const [index, { from, to }] of coveredRanges(fragments, covered).entries()) {
    const fragment = covered[index] as number;
    const sum = sumSquares(values.subarray(from, to));
    // Finite f32 values cannot overflow this sum: it is not finite only if one of them is not.
    if (!Number.isFinite(sum)) return err({ code: "update/not-finite", fragment });
    const length = to - from;
    if (sum > rmsMax * rmsMax * length) {
      return err({ code: "update/norm", fragment, rms: Math.sqrt(sum / length), rmsMax });
    }
    squares += sum;
    count += length;
  }
  return ok({ rms: Math.sqrt(squares / count) });
}

function sumSquares(x: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (x[i] as number);
  return sum;
}
