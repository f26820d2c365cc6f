// What the three dense codecs share: blocks of 4096 elements, one f32 scale each (spec §2.3).
// Not a registry of plug-ins: a codec is part of the protocol, and its id is in every update.
import { assert } from "@manyhands/base/assert";
import type { Bytes } from "@manyhands/base/bytes";

/** Elements that share one scale. A block never crosses a fragment, so the last may be shorter. */
export const BLOCK_ELEMENTS = 4096;

/** Smallest scale but zero: the smallest normal f32, so that no decoded update is subnormal. */
export const SCALE_MIN = 2 ** -126;
/** Largest scale: 127 times it is still a finite f32, so that every decoded value is finite. */
export const SCALE_MAX = 2 ** 120;

/** Why a block's payload is refused. */
export type BlockFault =
  | { readonly rule: "level"; readonly byte: number }
  | { readonly rule: "trit"; readonly byte: number }
  | { readonly rule: "padding"; readonly byte: number }
  | { readonly rule: "unmatched"; readonly byte: number };

/**
 * One codec, block by block. All arithmetic is float64 + − × ÷ in index order, rounded to f32 by
 * Math.fround or by the store into a Float32Array, which ECMAScript defines to be the same.
 *
 * - `encode` writes a block's payload and returns its scale: 0, or from SCALE_MIN to SCALE_MAX.
 * - `check` is the whole test of a received block against its scale; undefined means accepted.
 * - `decodeInto` may then not fail.
 */
export type BlockCodec = {
  readonly id: number;
  readonly payloadBytes: (elements: number) => number;
  readonly encode: (x: Float32Array, payload: Bytes) => number;
  readonly check: (payload: Bytes, elements: number, scale: number) => BlockFault | undefined;
  readonly decodeInto: (out: Float32Array, payload: Bytes, scale: number) => void;
};

/** May this number stand as a scale? Excludes NaN, infinities, negatives, −0 and subnormals. */
export function isScale(scale: number): boolean {
  return Object.is(scale, 0) || (scale >= SCALE_MIN && scale <= SCALE_MAX);
}

/**
 * The f32 scale for a magnitude: rounded, and 0 where it would be subnormal.
 *
 * @throws AssertionError if the block was not finite or its scale exceeds SCALE_MAX: a caller
 *         screens values before it encodes them
 */
export function roundScale(magnitude: number): number {
  const scale = Math.fround(magnitude);
  assert(scale <= SCALE_MAX, `values to encode are finite and small, found a scale of ${scale}`);
  return scale < SCALE_MIN ? 0 : scale;
}

/** Index of the first byte that is not zero, or −1. */
export function firstNonZero(payload: Bytes): number {
  for (let i = 0; i < payload.length; i++) if (payload[i] !== 0) return i;
  return -1;
}

/** Sum of magnitudes, in index order. */
export function sumMagnitudes(x: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += Math.abs(x[i] as number);
  return sum;
}

/**
 * The same f32 numbers as int32 bit patterns: bit 31 is the sign, and the other bits order
 * magnitudes. Comparing integers costs no branch, which on random signs is several times faster.
 */
export function bitsOf(x: Float32Array): Int32Array {
  return new Int32Array(x.buffer, x.byteOffset, x.length);
}
