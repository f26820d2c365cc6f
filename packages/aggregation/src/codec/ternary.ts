// ternary: {−s, 0, s}, five trits in a byte; up to 0.75 · mean|x| is zero (spec §2.5).
// Not entropy-coded: a fixed length is what lets a length check refuse everything else.
import type { Bytes } from "@manyhands/base/bytes";
import {
  type BlockCodec,
  type BlockFault,
  bitsOf,
  firstNonZero,
  roundScale,
  sumMagnitudes,
} from "./block-codec.ts";

const TRITS_PER_BYTE = 5;
/** 3⁵ − 1: the largest byte that is five trits. */
const BYTE_MAX = 242;
/** Share of the block's mean magnitude below which an element is sent as zero. */
const THRESHOLD = 0.75;
/** 3^k for k = 0 … 5. */
const POWERS = [1, 3, 9, 27, 81, 243] as const;

/** Element k of byte b is DIGITS[5b + k]: 0, 1 or −1 for the digits 0, 1, 2, lowest digit first. */
const DIGITS = new Float32Array((BYTE_MAX + 1) * TRITS_PER_BYTE);
for (let i = 0; i < DIGITS.length; i++) {
  const byte = Math.floor(i / TRITS_PER_BYTE);
  const digit = Math.floor(byte / (POWERS[i % TRITS_PER_BYTE] as number)) % 3;
  DIGITS[i] = digit === 2 ? -1 : digit;
}

function payloadBytes(elements: number): number {
  return Math.ceil(elements / TRITS_PER_BYTE);
}

/** 1 if the magnitude exceeds the threshold, both as bit patterns of f32 ≥ 0; else 0. */
function isAbove(bits: number, thresholdBits: number): number {
  return (thresholdBits - (bits & 0x7fffffff)) >>> 31;
}

/** 0, 1 or 2: zero, plus or minus. */
function digitOf(bits: number, thresholdBits: number): number {
  return isAbove(bits, thresholdBits) << (bits >>> 31);
}

/** Mean magnitude of the elements above the threshold; 0 for a block of zeros. */
function scaleAbove(x: Float32Array, thresholdBits: number): number {
  const bits = bitsOf(x);
  let sum = 0;
  let count = 0;
  for (let i = 0; i < x.length; i++) {
    const above = isAbove(bits[i] as number, thresholdBits);
    sum += above * Math.abs(x[i] as number);
    count += above;
  }
  return count === 0 ? 0 : sum / count;
}

function encode(x: Float32Array, payload: Bytes): number {
  const mean = sumMagnitudes(x) / x.length;
  const threshold = bitsOf(Float32Array.of(THRESHOLD * mean))[0] as number;
  // Infinite or NaN elements make the mean so, and roundScale refuses it.
  const scale = roundScale(mean < Infinity ? scaleAbove(x, threshold) : mean);
  if (scale === 0) payload.fill(0);
  else packDigits(bitsOf(x), threshold, payload);
  return scale;
}

/** byte = Σ_k digit_k · 3^k over five elements; digits past the block's end are 0. */
function packDigits(bits: Int32Array, threshold: number, payload: Bytes): void {
  const whole = Math.floor(bits.length / TRITS_PER_BYTE);
  for (let j = 0, i = 0; j < whole; j++, i += TRITS_PER_BYTE) {
    payload[j] =
      digitOf(bits[i] as number, threshold) +
      3 * digitOf(bits[i + 1] as number, threshold) +
      9 * digitOf(bits[i + 2] as number, threshold) +
      27 * digitOf(bits[i + 3] as number, threshold) +
      81 * digitOf(bits[i + 4] as number, threshold);
  }
  if (whole === payload.length) return;
  let byte = 0;
  for (let i = bits.length - 1; i >= whole * TRITS_PER_BYTE; i--) {
    byte = byte * 3 + digitOf(bits[i] as number, threshold);
  }
  payload[whole] = byte;
}

function check(payload: Bytes, elements: number, scale: number): BlockFault | undefined {
  let used = 0;
  for (let i = 0; i < payload.length; i++) {
    const byte = payload[i] as number;
    if (byte > BYTE_MAX) return { rule: "trit", byte: i };
    used |= byte;
  }
  const tail = elements % TRITS_PER_BYTE;
  const last = payload.length - 1;
  if (tail !== 0 && (payload[last] as number) >= (POWERS[tail] as number)) {
    return { rule: "padding", byte: last };
  }
  const matched = (used === 0) === (scale === 0);
  return matched ? undefined : { rule: "unmatched", byte: Math.max(0, firstNonZero(payload)) };
}

function decodeInto(out: Float32Array, payload: Bytes, scale: number): void {
  const whole = Math.floor(out.length / TRITS_PER_BYTE);
  for (let j = 0, i = 0; j < whole; j++, i += TRITS_PER_BYTE) {
    const at = (payload[j] as number) * TRITS_PER_BYTE;
    out[i] = (DIGITS[at] as number) * scale;
    out[i + 1] = (DIGITS[at + 1] as number) * scale;
    out[i + 2] = (DIGITS[at + 2] as number) * scale;
    out[i + 3] = (DIGITS[at + 3] as number) * scale;
    out[i + 4] = (DIGITS[at + 4] as number) * scale;
  }
  const from = whole * TRITS_PER_BYTE;
  for (let i = from; i < out.length; i++) {
    const at = (payload[whole] as number) * TRITS_PER_BYTE + (i - from);
    out[i] = (DIGITS[at] as number) * scale;
  }
}

export const ternary: BlockCodec = { id: 2, payloadBytes, encode, check, decodeInto };
