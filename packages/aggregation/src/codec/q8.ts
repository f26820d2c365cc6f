// q8: one int8 per element, level × scale, scale = max|x| / 127 (spec §2.4).
// Not asymmetric: there is no zero point, and −128 is not a level.
import type { Bytes } from "@manyhands/base/bytes";
import { type BlockCodec, type BlockFault, firstNonZero, roundScale } from "./block-codec.ts";

const LEVEL_MAX = 127;

/** Math.max passes NaN on, which roundScale then refuses. */
function peakMagnitude(x: Float32Array): number {
  let peak = 0;
  for (let i = 0; i < x.length; i++) peak = Math.max(peak, Math.abs(x[i] as number));
  return peak;
}

/** level = sign(x) · min(127, ⌊|x| / scale + ½⌋), in float64. */
function encode(x: Float32Array, payload: Bytes): number {
  const scale = roundScale(peakMagnitude(x) / LEVEL_MAX);
  if (scale === 0) {
    payload.fill(0);
    return 0;
  }
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    const level = Math.min(LEVEL_MAX, Math.floor(Math.abs(value) / scale + 0.5));
    payload[i] = value < 0 ? -level : level;
  }
  return scale;
}

function check(payload: Bytes, _elements: number, scale: number): BlockFault | undefined {
  if (scale === 0) {
    const byte = firstNonZero(payload);
    return byte < 0 ? undefined : { rule: "unmatched", byte };
  }
  const levels = signed(payload);
  let peak = 0;
  for (let i = 0; i < levels.length; i++) {
    const magnitude = Math.abs(levels[i] as number);
    if (magnitude > LEVEL_MAX) return { rule: "level", byte: i };
    peak = Math.max(peak, magnitude);
  }
  return peak === LEVEL_MAX ? undefined : { rule: "unmatched", byte: 0 };
}

/** value = fround(level × scale); a Float32Array rounds what is stored in it. */
function decodeInto(out: Float32Array, payload: Bytes, scale: number): void {
  const levels = signed(payload);
  for (let i = 0; i < out.length; i++) out[i] = (levels[i] as number) * scale;
}

/** The same bytes as int8. */
function signed(payload: Bytes): Int8Array {
  return new Int8Array(payload.buffer, payload.byteOffset, payload.length);
}

export const q8: BlockCodec = {
  id: 1,
  payloadBytes: (elements) => elements,
  encode,
  check,
  decodeInto,
};
