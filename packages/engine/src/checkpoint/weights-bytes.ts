// Weights as bytes: float32, little-endian, nothing else. What a checkpoint's blob holds.
// No names and no shapes: safetensors.ts has those.
import { assert } from "@manyhands/base/assert";

/** Bytes of one weight. */
export const WEIGHT_BYTES = 4;

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The weights' bytes: a view of their memory where the machine is little-endian, else a copy. */
export function weightsToBytes(weights: Float32Array): Uint8Array {
  const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength);
  return LITTLE_ENDIAN ? bytes : swapped(bytes);
}

/**
 * The weights in these bytes, as a copy.
 *
 * @throws AssertionError if the length is no multiple of 4: check the size of what others sent
 */
export function weightsFromBytes(bytes: Uint8Array): Float32Array {
  assert(bytes.length % WEIGHT_BYTES === 0, `${bytes.length} bytes are no whole float32 values`);
  const copy = LITTLE_ENDIAN ? bytes.slice() : swapped(bytes);
  return new Float32Array(copy.buffer, copy.byteOffset, copy.length / WEIGHT_BYTES);
}

function swapped(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i] = bytes[i ^ 3] as number;
  return out;
}
