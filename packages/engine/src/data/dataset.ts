// A data set: the tokens of files, one after the other, split into training and validation.
// It reads no files (node-files.ts does) and draws no samples (sampler.ts does).
import { assert } from "@manyhands/base/assert";
import { concatBytes } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";

/** Both parts are views of one buffer of byte tokens. */
export type TokenSplit = { readonly train: Uint8Array; readonly validation: Uint8Array };

const BPS = 10_000;

/**
 * The last share is for validation: training has the first
 * ⌊total · (10000 − validationBps) / 10000⌋ tokens.
 *
 * @param files         the files' bytes in the run's order; a file's end is no boundary
 * @param validationBps the held-out share in basis points, 1 … 9999
 * @throws InputError   if either part would be empty
 */
export function splitTokens(files: readonly Uint8Array[], validationBps: number): TokenSplit {
  const inRange = Number.isInteger(validationBps) && validationBps > 0 && validationBps < BPS;
  assert(inRange, `validationBps is an integer from 1 to 9999, found ${validationBps}`);
  const only = files.length === 1 ? files[0] : undefined;
  const tokens = only ?? concatBytes(...files);
  // Exact as long as there are fewer than 2⁵³ / 10⁴ tokens: 900 GB.
  const boundary = Math.floor((tokens.length * (BPS - validationBps)) / BPS);
  if (boundary === 0 || boundary === tokens.length) {
    throw new InputError(`a data set of ${tokens.length} bytes cannot be split`, {
      hint: "name more or larger files under data",
    });
  }
  return { train: tokens.subarray(0, boundary), validation: tokens.subarray(boundary) };
}
