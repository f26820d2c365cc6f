// Stored elements as float32: half, brain and single floats, and BitNet's packed ternary bytes.
// It deliberately knows bytes and arrays only.
import { assert } from "@manyhands/base/assert";
import type { StoredType } from "./safetensors.ts";
import { weightsFromBytes } from "./weights-bytes.ts";

/** Ternary values in a byte: row r of quarter i is bits 2i and 2i + 1 of packed row r. */
const PACKED_ROWS = 4;

/** float32 bit patterns of every half float: 65 536 of them, made once and only if needed. */
let halves: Float32Array | undefined;

function halfTable(): Float32Array {
  if (halves) return halves;
  const table = new Float32Array(1 << 16);
  for (let bits = 0; bits < table.length; bits++) table[bits] = halfValue(bits);
  halves = table;
  return table;
}

/** The value of a half float: sign, 5 bits of exponent, 10 of fraction. */
function halfValue(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Elements of a float type, little-endian, into an array as long. */
export function decodeFloats(bytes: Uint8Array, dtype: StoredType, into: Float32Array): void {
  assert(dtype !== "U8", "bytes are no floats");
  if (dtype === "F32") {
    assert(bytes.length === 4 * into.length, "four bytes per float32");
    into.set(weightsFromBytes(bytes));
    return;
  }
  assert(bytes.length === 2 * into.length, "two bytes per half float");
  if (dtype === "F16") {
    const table = halfTable();
    for (let i = 0; i < into.length; i++) {
      into[i] = table[(bytes[2 * i] as number) | ((bytes[2 * i + 1] as number) << 8)] as number;
    }
    return;
  }
  // A brain float is the upper half of a float32.
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < into.length; i++) {
    words[i] = ((bytes[2 * i] as number) << 16) | ((bytes[2 * i + 1] as number) << 24);
  }
}

/**
 * BitNet's packed matrix: [out / 4, in] bytes of four ternary values each, times a scale, into
 * [out, in]. Row r of the result is in packed row r mod (out / 4).
 *
 * @returns whether every value was −1, 0 or 1
 */
export function decodeTernary(
  packed: Uint8Array,
  shape: readonly number[],
  { scale, into }: { readonly scale: number; readonly into: Float32Array },
): boolean {
  const [rows = 0, columns = 0] = shape;
  const quarter = rows / PACKED_ROWS;
  assert(packed.length === quarter * columns && into.length === rows * columns, "sizes agree");
  const values = [-scale, 0, scale, Number.NaN];
  let valid = true;
  for (let part = 0; part < PACKED_ROWS; part++) {
    const start = part * quarter * columns;
    for (let i = 0; i < packed.length; i++) {
      const code = ((packed[i] as number) >> (2 * part)) & 3;
      if (code === 3) valid = false;
      into[start + i] = values[code] as number;
    }
  }
  return valid;
}
