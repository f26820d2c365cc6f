// Error feedback: what a codec dropped is added to the next thing that it encodes (spec §2.9).
// Not part of the weights: the residual stays beside them, in the worker or in the public state.

import { assert } from "@manyhands/base/assert";
import type { Bytes } from "@manyhands/base/bytes";
import type { CodecName } from "./codec/codecs.ts";
import { decodeUpdateInto, encodeUpdate } from "./codec/update.ts";
import { allFragments, assertFits, coveredRanges, type Fragment } from "./fragments.ts";

export type CompressOptions = {
  readonly codec: CodecName;
  readonly fragments: readonly Fragment[];
  /** Indices of the covered fragments, ascending; all of them if left out. */
  readonly covered?: readonly number[] | undefined;
  /** θ_base − θ_local (a worker) or the mean of the updates (the coordinator). Read only. */
  readonly pseudoGradient: Float32Array;
};

export type Compressed = { readonly bytes: Bytes; readonly residualAfter: Float32Array };

/**
 * x = fround(Δ + e), bytes = encode(x), e′ = fround(x − decode(bytes)), over the covered fragments.
 * Outside them the residual is kept and the pseudo-gradient not read.
 *
 * @param options.residual e, read only: zeros in a worker's first round
 * @throws AssertionError if a sum is not finite: screen the pseudo-gradient first (screen.ts)
 * @source Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847 · docs/spec §2.9
 */
export function compress(
  options: CompressOptions & { readonly residual: Float32Array },
): Compressed {
  const residualAfter = options.residual.slice();
  const decoded = new Float32Array(options.residual.length);
  const bytes = compressInto({ ...options, residual: residualAfter, decoded });
  return { bytes, residualAfter };
}

// Each store into a Float32Array below is the fround of the formula.

/**
 * As compress, but the residual is overwritten with e′, and what a receiver of the bytes decodes is
 * left in `decoded` (its elements outside the covered fragments stay as they are).
 */
export function compressInto(
  options: CompressOptions & { readonly residual: Float32Array; readonly decoded: Float32Array },
): Bytes {
  const { codec, fragments, pseudoGradient, residual, decoded } = options;
  assertFits(fragments, pseudoGradient, "pseudo-gradient");
  assertFits(fragments, residual, "residual");
  const covered = options.covered ?? allFragments(fragments);
  const ranges = coveredRanges(fragments, covered);
  for (const { from, to } of ranges) {
    for (let i = from; i < to; i++) {
      residual[i] = (pseudoGradient[i] as number) + (residual[i] as number);
    }
  }
  const bytes = encodeUpdate({ codec, fragments, covered, values: residual });
  const header = decodeUpdateInto(decoded, bytes, fragments, { codec });
  assert(header.ok, "what we encode, we accept");
  for (const { from, to } of ranges) {
    for (let i = from; i < to; i++) {
      residual[i] = (residual[i] as number) - (decoded[i] as number);
    }
  }
  return bytes;
}
