// A data set: the tokens of files, one after the other, split into training and validation.
// It reads no files (node-files.ts does) and draws no samples (sampler.ts does).
import { assert } from "@manyhands/base/assert";
import { concatBytes } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";

/** Both parts are views of one buffer of tokens. */
export type TokenSplit<Tokens = Uint8Array> = {
  readonly train: Tokens;
  readonly validation: Tokens;
};

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
  const only = files.length === 1 ? files[0] : undefined;
  const tokens = only ?? concatBytes(...files);
  const boundary = boundaryOf(tokens.length, validationBps);
  return { train: tokens.subarray(0, boundary), validation: tokens.subarray(boundary) };
}

const ID_BYTES = 4;

/**
 * As splitTokens, of files of ids: integers of 32 bits, little-endian; −1 − id where the prediction
 * of the token is not counted.
 *
 * @throws InputError if a file is no whole number of ids, or an id is not in the vocabulary
 */
export function splitIds(
  files: readonly Uint8Array[],
  validationBps: number,
  vocabSize: number,
): TokenSplit<Int32Array> {
  const count = files.reduce((sum, { length }) => sum + Math.ceil(length / ID_BYTES), 0);
  const ids = new Int32Array(count);
  let at = 0;
  for (const file of files) {
    if (file.length % ID_BYTES !== 0) {
      throw new InputError(`a file of ids has ${file.length} bytes, no multiple of 4`);
    }
    // A copy, which starts where integers may start.
    ids.set(new Int32Array(file.slice().buffer), at);
    at += file.length / ID_BYTES;
  }
  const stranger = ids.find((id) => id < -vocabSize || id >= vocabSize);
  if (stranger !== undefined) {
    throw new InputError(`the data has the id ${stranger}; the vocabulary has ${vocabSize}`);
  }
  const boundary = boundaryOf(count, validationBps);
  return { train: ids.subarray(0, boundary), validation: ids.subarray(boundary) };
}

/** Where validation begins. */
function boundaryOf(count: number, validationBps: number): number {
  const inRange = Number.isInteger(validationBps) && validationBps > 0 && validationBps < BPS;
  assert(inRange, `validationBps is an integer from 1 to 9999, found ${validationBps}`);
  // Exact as long as there are fewer than 2⁵³ / 10⁴ tokens: 900 GB.
  const boundary = Math.floor((count * (BPS - validationBps)) / BPS);
  if (boundary > 0 && boundary < count) return boundary;
  throw new InputError(`a data set of ${count} tokens cannot be split`, {
    hint: "name more or larger files under data",
  });
}
