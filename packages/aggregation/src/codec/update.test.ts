// Encoded updates by hand: the layout's bytes, and every refusal's code (spec §2.7, §2.8).
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import type { Fragment } from "../fragments.ts";
import { BLOCK_ELEMENTS, SCALE_MAX, SCALE_MIN } from "./block-codec.ts";
import { CODEC_NAMES, type CodecName } from "./codecs.ts";
import {
  checkUpdate,
  type DecodeOptions,
  decodeUpdate,
  decodeUpdateInto,
  encodeUpdate,
  updateBytes,
  updateBytesMax,
} from "./update.ts";

const ONE: readonly Fragment[] = [{ name: "w", shape: [7], dtype: "f32" }];
const VALUES = Float32Array.of(4, -1, 0, 2, -4, 0.25, 3);
const THREE: readonly Fragment[] = [
  { name: "a", shape: [3], dtype: "f32" },
  { name: "b", shape: [2, 4], dtype: "f32" },
  { name: "c", shape: [], dtype: "f32" },
];
const SCALE_AT = 17;
const PAYLOAD_AT = 21;

function encoded(codec: CodecName): Uint8Array {
  return encodeUpdate({ codec, fragments: ONE, values: VALUES });
}

function codeOf(bytes: Uint8Array, options: DecodeOptions = {}, fragments = ONE): string {
  const checked = checkUpdate(bytes, fragments, options);
  const decoded = decodeUpdate(bytes, fragments, options);
  assert.deepEqual(decoded.ok ? "ok" : decoded.error, checked.ok ? "ok" : checked.error);
  return checked.ok ? "ok" : checked.error.code;
}

function withBytes(codec: CodecName, at: number, ...bytes: number[]): Uint8Array {
  const out = encoded(codec);
  out.set(bytes, at);
  return out;
}

function withScale(codec: CodecName, scale: number): Uint8Array {
  const out = encoded(codec);
  new DataView(out.buffer).setFloat32(SCALE_AT, scale, true);
  return out;
}

test("sign: header, bitmap, scale = mean|x|, one bit per element", () => {
  // mean|x| = 14.25 / 7; negatives at 1 and 4 → 0b10010.
  const header = "4d485550" + "01" + "03" + "0100" + "0700000000000000" + "01";
  const scale = toHex(new Uint8Array(Float32Array.of(14.25 / 7).buffer));
  assert.equal(toHex(encoded("sign")), `${header}${scale}12`);
});

test("ternary: five trits per byte, lowest first, unused digits zero", () => {
  // threshold 0.75 · 14.25 / 7 = 1.527: above are 4, 2, −4, 3; mean 3.25 = 0x40500000.
  // digits 1 0 0 1 2 | 0 1 0 0 0 → 1 + 27 + 162 = 190, 3.
  const bytes = toHex(encoded("ternary"));
  assert.equal(bytes.slice(2 * SCALE_AT), "00005040" + "be03");
  const decoded = decodeUpdate(encoded("ternary"), ONE);
  assert.ok(decoded.ok);
  assert.deepEqual([...decoded.value.values], [3.25, 0, 0, 3.25, -3.25, 0, 3.25]);
});

test("q8: level = round(|x| / scale) with the sign, scale = max|x| / 127", () => {
  const scale = Math.fround(4 / 127);
  const levels = [127, -32, 0, 64, -127, 8, 95];
  const bytes = encoded("q8");
  assert.deepEqual([...new Int8Array(bytes.buffer, PAYLOAD_AT)], levels);
  const decoded = decodeUpdate(bytes, ONE);
  assert.ok(decoded.ok);
  const expected = levels.map((level) => Math.fround(level * scale));
  assert.deepEqual([...decoded.value.values], expected);
});

test("each refusal has its code", () => {
  const cases: readonly (readonly [string, Uint8Array, DecodeOptions?])[] = [
    ["ok", encoded("q8"), { codec: "q8", allowed: [0] }],
    ["codec/truncated", new Uint8Array(0)],
    ["codec/truncated", encoded("q8").subarray(0, 16)],
    ["codec/bad-magic", withBytes("q8", 3, 0)],
    ["codec/version", withBytes("q8", 4, 2)],
    ["codec/unknown-codec", withBytes("q8", 5, 0)],
    ["codec/unknown-codec", withBytes("q8", 5, 4)],
    ["codec/wrong-codec", encoded("q8"), { codec: "sign" }],
    ["codec/fragment-count", withBytes("q8", 6, 2)],
    ["codec/elements", withBytes("q8", 8, 8)],
    ["codec/elements", withBytes("q8", 15, 255)],
    ["codec/coverage", withBytes("q8", 16, 0)],
    ["codec/coverage", withBytes("q8", 16, 3)],
    ["codec/coverage", encoded("q8"), { allowed: [] }],
    ["codec/length", encoded("q8").subarray(0, -1)],
    ["codec/length", new Uint8Array([...encoded("q8"), 0])],
    ["codec/length", withBytes("q8", 5, 3)],
    ["codec/level", withBytes("q8", PAYLOAD_AT, 0x80)],
    ["codec/unmatched", withBytes("q8", PAYLOAD_AT, 0, 0, 0, 0, 0)],
    ["codec/trit", withBytes("ternary", PAYLOAD_AT, 243)],
    ["codec/padding", withBytes("ternary", PAYLOAD_AT + 1, 9)],
    ["codec/unmatched", withBytes("ternary", PAYLOAD_AT, 0, 0)],
    ["codec/padding", withBytes("sign", PAYLOAD_AT, 0x80)],
    ["ok", withBytes("sign", PAYLOAD_AT, 0)],
  ];
  for (const [expected, bytes, options] of cases) {
    assert.equal(codeOf(bytes, options), expected, `${expected}: ${toHex(bytes)}`);
  }
});

test("a scale is 0 or a normal, positive, finite number whose values stay finite", () => {
  const past = Math.fround(SCALE_MAX * (1 + 2 ** -23));
  const refused = [NaN, Infinity, -Infinity, -1, -0, SCALE_MIN / 2, 2 ** -149, past];
  for (const codec of CODEC_NAMES) {
    for (const scale of refused) {
      assert.equal(codeOf(withScale(codec, scale)), "codec/scale", `${codec} ${scale}`);
    }
    for (const scale of [SCALE_MIN, SCALE_MAX]) {
      const decoded = decodeUpdate(withScale(codec, scale), ONE);
      assert.ok(decoded.ok, `${codec} ${scale}`);
      assert.ok(decoded.value.values.every(Number.isFinite), `${codec} ${scale}`);
    }
    assert.equal(codeOf(withScale(codec, 0)), "codec/unmatched", codec);
  }
});

test("zeros, and values whose scale would be subnormal, encode to zero blocks", () => {
  for (const codec of CODEC_NAMES) {
    for (const value of [0, -0, 2 ** -149, -(2 ** -128)]) {
      const values = new Float32Array(7).fill(value);
      const bytes = encodeUpdate({ codec, fragments: ONE, values });
      assert.ok(
        bytes.subarray(SCALE_AT).every((byte) => byte === 0),
        `${codec} ${value}`,
      );
      assert.equal(codeOf(bytes), "ok", `${codec} ${value}`);
    }
  }
});

test("values that are not finite or too large are a caller's bug", () => {
  for (const codec of CODEC_NAMES) {
    for (const value of [NaN, Infinity, -Infinity, 3e38]) {
      const values = VALUES.slice();
      values[2] = value;
      const encode = () => encodeUpdate({ codec, fragments: ONE, values });
      assert.throws(encode, /finite/, `${codec} ${value}`);
    }
  }
});

test("an update covers the fragments that it names, and touches no others", () => {
  const values = Float32Array.from({ length: 12 }, (_, i) => i + 1);
  for (const codec of CODEC_NAMES) {
    const bytes = encodeUpdate({ codec, fragments: THREE, covered: [0, 2], values });
    assert.equal(bytes.length, updateBytes(codec, THREE, [0, 2]));
    assert.equal(codeOf(bytes, { allowed: [0, 2] }, THREE), "ok");
    assert.equal(codeOf(bytes, { allowed: [0, 1] }, THREE), "codec/coverage");
    const out = new Float32Array(12).fill(99);
    const header = decodeUpdateInto(out, bytes, THREE);
    assert.ok(header.ok);
    assert.deepEqual(header.value, { codec, covered: [0, 2] });
    assert.ok(
      out.subarray(3, 11).every((value) => value === 99),
      codec,
    );
    assert.equal(out[11], 12, codec);
  }
  for (const covered of [[], [1, 0], [0, 0], [3], [-1], [0.5]]) {
    const encode = () => encodeUpdate({ codec: "sign", fragments: THREE, covered, values });
    assert.throws(encode, /cover/, JSON.stringify(covered));
  }
});

test("a block never crosses a fragment, and the length follows from the header", () => {
  const wide: readonly Fragment[] = [
    { name: "a", shape: [BLOCK_ELEMENTS + 1], dtype: "f32" },
    { name: "b", shape: [BLOCK_ELEMENTS], dtype: "f32" },
  ];
  const head = 16 + 1 + 3 * 4;
  assert.equal(updateBytesMax("q8", wide), head + 2 * BLOCK_ELEMENTS + 1);
  assert.equal(updateBytesMax("ternary", wide), head + 820 + 1 + 820);
  assert.equal(updateBytesMax("sign", wide), head + 512 + 1 + 512);
});

test("bytes may stand anywhere in a larger buffer", () => {
  for (const codec of CODEC_NAMES) {
    const bytes = encoded(codec);
    const padded = new Uint8Array(bytes.length + 9).fill(0xff);
    padded.set(bytes, 5);
    assert.equal(codeOf(padded.subarray(5, 5 + bytes.length)), "ok", codec);
  }
});
