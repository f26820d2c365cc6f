// Bytes: hex, UTF-8, order and the fixed-width fields that get hashed.
// Not a file format: codecs, messages and checkpoints lay out their own.
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { assert } from "./assert.ts";

export type Bytes = Uint8Array;

export const toHex: (bytes: Bytes) => string = bytesToHex;

/** UTF-8. A lone surrogate becomes U+FFFD, so two texts could meet: decoders refuse them. */
export const utf8: (text: string) => Bytes = utf8ToBytes;

const HEX = /^([0-9a-f]{2})*$/;

/** Lower-case hex to bytes. @throws AssertionError on other text: ask isHex about untrusted text */
export function fromHex(hex: string): Bytes {
  assert(HEX.test(hex), `expected lower-case hex, found ${hex.slice(0, 80)}`);
  return hexToBytes(hex);
}

/** Is the text lower-case hex of exactly that many bytes? */
export function isHex(text: string, byteCount: number): boolean {
  return text.length === byteCount * 2 && HEX.test(text);
}

export function concatBytes(...parts: readonly Bytes[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function equalBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Bytewise order, as a comparator. */
export function compareBytes(a: Bytes, b: Bytes): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Code-unit order of strings, as a comparator: the same on every device, unlike a locale's. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * An unsigned integer as 8 big-endian bytes, the width that a contract reads (uint64).
 *
 * @throws AssertionError on fractions, numbers beyond 2⁵³ − 1 and values outside 0 … 2⁶⁴ − 1
 */
export function uint64(value: number | bigint): Bytes {
  assert(
    typeof value === "bigint" || Number.isSafeInteger(value),
    `not an exact integer: ${value}`,
  );
  const big = BigInt(value);
  assert(big >= 0n && big < 1n << 64n, `uint64 out of range: ${big}`);
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, big);
  return out;
}
