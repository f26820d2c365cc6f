// How ggml stores numbers: F32, F16, and blocks of 32 numbers with one half-float scale (Q8_0: a
// byte each, Q4_0: half a byte each). Same bits as ggml's own reference code. No files here.
// @source ggml's ggml-common.h (block_q8_0, block_q4_0) and docs/gguf.md
import { assert } from "@manyhands/base/assert";
import { encodeFloats } from "../checkpoint/encode-values.ts";
import { decodeFloats } from "../checkpoint/stored-values.ts";
import { halfOfFloat } from "../quantize/half.ts";

export type BlockType = "F32" | "F16" | "Q8_0" | "Q4_0";

/** ggml's numbers for these types. */
export const TYPE_IDS: Readonly<Record<BlockType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8 };

/** Numbers in a block, and the bytes that they take together. */
const LAYOUT: Readonly<Record<BlockType, { readonly count: number; readonly bytes: number }>> = {
  F32: { count: 1, bytes: 4 },
  F16: { count: 1, bytes: 2 },
  Q8_0: { count: 32, bytes: 34 },
  Q4_0: { count: 32, bytes: 18 },
};
const BLOCK = 32;
const HALF_BLOCK = BLOCK / 2;

/** Whether a matrix's rows are whole blocks. */
export function fitsBlocks(type: BlockType, shape: readonly number[]): boolean {
  return (shape.at(-1) ?? 1) % LAYOUT[type].count === 0;
}

/** Bytes of a tensor. @throws AssertionError if its rows are no whole blocks */
export function bytesOf(type: BlockType, shape: readonly number[]): number {
  assert(fitsBlocks(type, shape), `rows of ${shape.at(-1)} numbers are no blocks of ${type}`);
  const { count, bytes } = LAYOUT[type];
  return (shape.reduce((product, extent) => product * extent, 1) / count) * bytes;
}

/** The numbers as stored; their count must be a multiple of the type's block. */
export function encodeBlocks(type: BlockType, values: Float32Array): Uint8Array {
  if (type === "F32" || type === "F16") return encodeFloats(values, type);
  const bytes = new Uint8Array(bytesOf(type, [values.length]));
  const encode = type === "Q8_0" ? encodeQ8 : encodeQ4;
  for (let block = 0; block * BLOCK < values.length; block++) {
    const own = bytes.subarray(block * LAYOUT[type].bytes, (block + 1) * LAYOUT[type].bytes);
    encode(values.subarray(block * BLOCK, (block + 1) * BLOCK), own);
  }
  return bytes;
}

/** What stored numbers mean. */
export function decodeBlocks(type: BlockType, bytes: Uint8Array): Float32Array {
  const { count, bytes: width } = LAYOUT[type];
  assert(bytes.length % width === 0, "whole blocks");
  const values = new Float32Array((bytes.length / width) * count);
  if (type === "F32" || type === "F16") {
    decodeFloats(bytes, type, values);
    return values;
  }
  const scale = new Float32Array(1);
  for (let block = 0; block * width < bytes.length; block++) {
    const own = bytes.subarray(block * width, (block + 1) * width);
    decodeFloats(own.subarray(0, 2), "F16", scale);
    const [d = 0] = scale;
    const into = values.subarray(block * BLOCK, (block + 1) * BLOCK);
    if (type === "Q8_0") decodeQ8(own, d, into);
    else decodeQ4(own, d, into);
  }
  return values;
}

/** d = max|x| / 127; each number is round(x / d), halves away from zero. */
function encodeQ8(values: Float32Array, into: Uint8Array): void {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  const d = Math.fround(most / 127);
  const inverse = d === 0 ? 0 : Math.fround(1 / d);
  putHalf(into, d);
  for (let i = 0; i < BLOCK; i++) {
    const x = Math.fround((values[i] as number) * inverse);
    const rounded = Math.floor(Math.abs(x) + 0.5);
    into[2 + i] = x < 0 ? -rounded : rounded;
  }
}

function decodeQ8(block: Uint8Array, d: number, into: Float32Array): void {
  for (let i = 0; i < BLOCK; i++) into[i] = (((block[2 + i] as number) << 24) >> 24) * d;
}

/**
 * d = x / −8 for the x that is farthest from 0; each number is trunc(x / d + 8.5) up to 15. Byte i
 * holds number i below and number i + 16 above.
 */
function encodeQ4(values: Float32Array, into: Uint8Array): void {
  let extreme = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  const d = Math.fround(extreme / -8);
  const inverse = d === 0 ? 0 : Math.fround(1 / d);
  putHalf(into, d);
  const level = (i: number): number => {
    const x = Math.fround(Math.fround((values[i] as number) * inverse) + 8.5);
    return Math.min(15, Math.trunc(x));
  };
  for (let i = 0; i < HALF_BLOCK; i++) into[2 + i] = level(i) | (level(i + HALF_BLOCK) << 4);
}

function decodeQ4(block: Uint8Array, d: number, into: Float32Array): void {
  for (let i = 0; i < HALF_BLOCK; i++) {
    const byte = block[2 + i] as number;
    into[i] = ((byte & 15) - 8) * d;
    into[i + HALF_BLOCK] = ((byte >> 4) - 8) * d;
  }
}

function putHalf(into: Uint8Array, value: number): void {
  const bits = halfOfFloat(value);
  into[0] = bits;
  into[1] = bits >> 8;
}
