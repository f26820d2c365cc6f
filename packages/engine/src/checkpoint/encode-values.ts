// float32 as files store it: single, half and brain floats, rounded to the nearest, ties to even.
// The way back is in stored-values.ts.
import { halfOfFloat } from "../quantize/half.ts";
import { weightsToBytes } from "./weights-bytes.ts";

export type FloatType = "F32" | "F16" | "BF16";

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

/** The elements' bytes, little-endian. */
export function encodeFloats(values: Float32Array, type: FloatType): Uint8Array {
  if (type === "F32") return weightsToBytes(values);
  const bytes = new Uint8Array(2 * values.length);
  const bitsOf = type === "F16" ? halfOfFloat : brainBits;
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
