// How frozen matrices are packed: half floats, 8 and 4 bits with a scale per block of 32, NF4 with
// a scale per block of 64, ternary in 2 bits with one scale. It deliberately knows arrays only;
// which tensor is packed how is kinds.ts's.
import { assert } from "@manyhands/base/assert";
import type { PackedFormat } from "../ir/tensor.ts";
import { floatOfHalf, halfOfFloat } from "./half.ts";

/** Weights with one scale. A row of a q8 or q4 matrix is a whole number of blocks. */
export const BLOCKS: Readonly<Record<PackedFormat, number>> = {
  f16: 1,
  q8: 32,
  q4: 32,
  nf4: 64,
  ternary: 4,
};

/** The byte that means 0 in q8, and the nibble in q4. */
export const Q8_ZERO = 128;
const Q4_ZERO = 8;
const Q8_MAX = 127;

/**
 * NF4's levels: quantiles of a normal distribution, scaled to −1 … 1, with an exact 0.
 *
 * @source Dettmers et al. 2023, "QLoRA", appendix E
 */
const NF4_LEVELS = Float32Array.of(
  ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453],
  ...[-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0],
  ...[0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224],
  ...[0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1],
);

/** Half floats as bits; else bytes, and a scale per block, or one for a ternary matrix. */
export type PackedWeights = {
  readonly format: PackedFormat;
  readonly packed: Uint8Array | Uint16Array;
  readonly scales: Float32Array;
};

/** Whether a matrix of this shape can be packed so. */
export function canPack(format: PackedFormat, shape: readonly number[]): boolean {
  const size = shape.reduce((product, dim) => product * dim, 1);
  const along = format === "q8" || format === "q4" ? (shape.at(-1) ?? 0) : size;
  return along % BLOCKS[format] === 0;
}

/** How long the two arrays of a packed matrix are. */
export function packedLengths(
  format: PackedFormat,
  size: number,
): { readonly packed: number; readonly scales: number } {
  const perByte = { f16: 1, q8: 1, q4: 2, nf4: 2, ternary: 4 }[format];
  const scales = { f16: 0, q8: size / 32, q4: size / 32, nf4: size / 64, ternary: 1 }[format];
  return { packed: size / perByte, scales };
}

/** What each of 256 bytes stands for, before it is scaled; the low bits come first. */
export function byteTable(format: "q4" | "nf4" | "ternary"): Float32Array<ArrayBuffer> {
  const bits = format === "ternary" ? 2 : 4;
  const perByte = 8 / bits;
  const table = new Float32Array(256 * perByte);
  for (let byte = 0; byte < 256; byte++) {
    for (let i = 0; i < perByte; i++) {
      const code = (byte >> (bits * i)) & ((1 << bits) - 1);
      table[byte * perByte + i] = levelOf(format, code);
    }
  }
  return table;
}

function levelOf(format: "q4" | "nf4" | "ternary", code: number): number {
  if (format === "nf4") return NF4_LEVELS[code] as number;
  return format === "q4" ? code - Q4_ZERO : code - 1;
}

/** Packs a matrix whose shape canPack allows. */
export function packWeights(format: PackedFormat, weights: Float32Array): PackedWeights {
  const lengths = packedLengths(format, weights.length);
  const scales = new Float32Array(lengths.scales);
  if (format === "f16") return { format, packed: Uint16Array.from(weights, halfOfFloat), scales };
  const packed = new Uint8Array(lengths.packed);
  if (format === "ternary") packTernary(weights, packed, scales);
  else {
    const block = BLOCKS[format];
    for (let b = 0; b < scales.length; b++) {
      const part = weights.subarray(b * block, (b + 1) * block);
      if (format === "nf4") packNf4(part, b, { packed, scales });
      else packSymmetric(part, b, { format, packed, scales });
    }
  }
  return { format, packed, scales };
}

/** Of the greatest magnitude, with its sign. */
function peakOf(values: Float32Array): number {
  let peak = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (Math.abs(value) > Math.abs(peak)) peak = value;
  }
  return peak;
}

type Into = { readonly packed: Uint8Array; readonly scales: Float32Array };

/**
 * A block to whole multiples of its scale. The scale is a half float, as in GGUF's Q8_0 and Q4_0:
 * 8 bits reach −127 … 127 times peak/127; 4 bits −8 … 7 times peak/−8, so that the peak is exact.
 */
function packSymmetric(
  part: Float32Array,
  block: number,
  { format, packed, scales }: Into & { readonly format: "q8" | "q4" },
): void {
  const peak = peakOf(part);
  const wanted = format === "q8" ? Math.abs(peak) / Q8_MAX : peak / -Q4_ZERO;
  const scale = floatOfHalf(halfOfFloat(Math.fround(wanted)));
  scales[block] = scale;
  const inverse = scale === 0 ? 0 : 1 / scale;
  if (format === "q8") {
    for (let i = 0; i < 32; i++) {
      const level = Math.floor((part[i] as number) * inverse + 0.5);
      packed[block * 32 + i] = Math.min(255, Math.max(0, level + Q8_ZERO));
    }
    return;
  }
  const code = (i: number): number => {
    const level = Math.floor((part[i] as number) * inverse + 0.5);
    return Math.min(15, Math.max(0, level + Q4_ZERO));
  };
  for (let i = 0; i < 16; i++) packed[block * 16 + i] = code(2 * i) | (code(2 * i + 1) << 4);
}

/** Halfway between one level and the next. */
const NF4_BOUNDS = NF4_LEVELS.subarray(1).map((level, i) => (level + (NF4_LEVELS[i] ?? 0)) / 2);

function nf4Code(value: number): number {
  let code = 0;
  while (code < 15 && value > (NF4_BOUNDS[code] as number)) code += 1;
  return code;
}

function packNf4(part: Float32Array, block: number, { packed, scales }: Into): void {
  const scale = Math.fround(Math.abs(peakOf(part)));
  scales[block] = scale;
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < 32; i++) {
    const low = nf4Code((part[2 * i] as number) * inverse);
    const high = nf4Code((part[2 * i + 1] as number) * inverse);
    packed[block * 32 + i] = low | (high << 4);
  }
}

/** Below this no scale is formed from a mean: as in model/bit-linear.ts. */
const MAGNITUDE_MIN = 1e-5;

/** −s, 0 and s: s is that of a matrix which is ternary already, else the mean magnitude. */
function packTernary(weights: Float32Array, packed: Uint8Array, scales: Float32Array): void {
  const scale = ternaryScale(weights);
  scales[0] = scale;
  const inverse = 1 / scale;
  const code = (i: number): number => {
    const level = (weights[i] as number) * inverse;
    return level > 0.5 ? 2 : level < -0.5 ? 0 : 1;
  };
  for (let i = 0; i < packed.length; i++) {
    const high = (code(4 * i + 2) << 4) | (code(4 * i + 3) << 6);
    packed[i] = code(4 * i) | (code(4 * i + 1) << 2) | high;
  }
}

function ternaryScale(weights: Float32Array): number {
  const peak = Math.abs(peakOf(weights));
  let sum = 0;
  let exact = peak > 0;
  for (let i = 0; i < weights.length; i++) {
    const magnitude = Math.abs(weights[i] as number);
    sum += magnitude;
    if (magnitude !== 0 && magnitude !== peak) exact = false;
  }
  return exact ? peak : Math.fround(Math.max(sum / weights.length, MAGNITUDE_MIN));
}

export type UnpackFrom = {
  readonly format: PackedFormat;
  readonly packed: ArrayLike<number>;
  readonly scales: Float32Array;
};

/** The matrix, or the part of it that starts at a weight where a byte and a block start. */
export function unpackInto(from: UnpackFrom, into: Float32Array, start = 0): void {
  const { format, packed, scales } = from;
  assert(start % BLOCKS[format] === 0 && into.length % BLOCKS[format] === 0, "whole blocks");
  if (format === "f16") {
    for (let i = 0; i < into.length; i++) into[i] = floatOfHalf(packed[start + i] as number);
  } else if (format === "q8") {
    for (let i = 0; i < into.length; i++) {
      const level = (packed[start + i] as number) - Q8_ZERO;
      into[i] = level * (scales[(start + i) >>> 5] as number);
    }
  } else unpackTabled({ format, packed, scales }, into, start);
}

function unpackTabled(
  from: UnpackFrom & { readonly format: "q4" | "nf4" | "ternary" },
  into: Float32Array,
  start: number,
): void {
  const { format, packed, scales } = from;
  const table = byteTable(format);
  const perByte = table.length / 256;
  const block = format === "ternary" ? Number.POSITIVE_INFINITY : BLOCKS[format];
  for (let i = 0; i < into.length; i += perByte) {
    const row = (packed[(start + i) / perByte] as number) * perByte;
    const scale = scales[Math.floor((start + i) / block)] as number;
    for (let j = 0; j < perByte; j++) into[i + j] = (table[row + j] as number) * scale;
  }
}
