// sign: one bit per element, ± scale, scale = mean|x| (spec §2.6).
// Not a vote: the magnitude travels, and error feedback returns what the bit dropped.
import type { Bytes } from "@manyhands/base/bytes";
import {
  type BlockCodec,
  type BlockFault,
  bitsOf,
  firstNonZero,
  roundScale,
  sumMagnitudes,
} from "./block-codec.ts";

/** Each element's IEEE sign bit, lowest bit of a byte first: −0 counts as negative. */
function encode(x: Float32Array, payload: Bytes): number {
  const scale = roundScale(sumMagnitudes(x) / x.length);
  payload.fill(0);
  if (scale === 0) return 0;
  const bits = bitsOf(x);
  for (let j = 0; j < payload.length; j++) {
    const from = j * 8;
    const count = Math.min(8, x.length - from);
    let byte = 0;
    for (let k = 0; k < count; k++) byte |= ((bits[from + k] as number) >>> 31) << k;
    payload[j] = byte;
  }
  return scale;
}

function check(payload: Bytes, elements: number, scale: number): BlockFault | undefined {
  const tail = elements % 8;
  const last = payload.length - 1;
  if (tail !== 0 && (payload[last] as number) >> tail !== 0) return { rule: "padding", byte: last };
  if (scale !== 0) return undefined;
  const byte = firstNonZero(payload);
  return byte < 0 ? undefined : { rule: "unmatched", byte };
}

/** Eight elements at a time by look-up: a branch on a random bit costs ten times as much. */
function decodeInto(out: Float32Array, payload: Bytes, scale: number): void {
  const values = Float32Array.of(scale, -scale);
  const whole = out.length >> 3;
  for (let j = 0, i = 0; j < whole; j++, i += 8) {
    const byte = payload[j] as number;
    out[i] = values[byte & 1] as number;
    out[i + 1] = values[(byte >> 1) & 1] as number;
    out[i + 2] = values[(byte >> 2) & 1] as number;
    out[i + 3] = values[(byte >> 3) & 1] as number;
    out[i + 4] = values[(byte >> 4) & 1] as number;
    out[i + 5] = values[(byte >> 5) & 1] as number;
    out[i + 6] = values[(byte >> 6) & 1] as number;
    out[i + 7] = values[byte >> 7] as number;
  }
  for (let i = whole * 8; i < out.length; i++) {
    out[i] = values[((payload[whole] as number) >> (i & 7)) & 1] as number;
  }
}

export const sign: BlockCodec = {
  id: 3,
  payloadBytes: (elements) => Math.ceil(elements / 8),
  encode,
  check,
  decodeInto,
};
