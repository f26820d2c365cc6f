// float32 as files store it: single, half and brain floats, rounded to the nearest, ties to even.
// The way back is in stored-values.ts.
import { weightsToBytes } from "./weights-bytes.ts";

export type FloatType = "F32" | "F16" | "BF16";

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

/** What a half float is for numbers below its normal ones: so many of 2⁻²⁴. */
const SUBNORMALS_PER_ONE = 2 ** 24;
const HALF_NORMAL_MIN = 2 ** -14;
const HALF_INFINITY = 0x7c00;
/** From here on the nearest half float is infinite: halfway between the greatest and 2¹⁶. */
const HALF_OVERFLOW = 65_520;

/** The 16 bits of the half float nearest to a float32. */
export function halfBits(value: number): number {
  word[0] = value;
  const bits = wordBits[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return sign | 0x7e00;
  if (size >= HALF_OVERFLOW) return sign | HALF_INFINITY;
  if (size < HALF_NORMAL_MIN) return sign | roundToEven(size * SUBNORMALS_PER_ONE);
  // The exponent's bias falls from 127 to 15; what the fraction carries over belongs to it.
  const kept = (bits & 0x7fff_ffff) - (112 << 23);
  return sign | ((kept + 0xfff + ((kept >>> 13) & 1)) >>> 13);
}

/** A number ≥ 0 to the nearest integer, ties to the even one. Exact below 2⁵². */
function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** The elements' bytes, little-endian. */
export function encodeFloats(values: Float32Array, type: FloatType): Uint8Array {
  if (type === "F32") return weightsToBytes(values);
  const bytes = new Uint8Array(2 * values.length);
  const bitsOf = type === "F16" ? halfBits : brainBits;
  for (let i = 0; i < values.length; i++) {
    const bits = bitsOf(values[i] as number);
    bytes[2 * i] = bits;
    bytes[2 * i + 1] = bits >> 8;
  }
  return bytes;
}

/** A brain float is the upper half of a float32. */
function brainBits(value: number): number {
  word[0] = value;
  const bits = wordBits[0] as number;
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
