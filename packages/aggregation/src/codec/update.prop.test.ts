// Properties of the codecs: agreement with a dumb second one, error bounds, hostile bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import fc from "fast-check";
import { elementCount, type Fragment } from "../fragments.ts";
import { CODEC_NAMES, type CodecName } from "./codecs.ts";
import { checkUpdate, decodeUpdate, decodeUpdateInto, encodeUpdate } from "./update.ts";

type Case = {
  readonly codec: CodecName;
  readonly fragments: readonly Fragment[];
  readonly covered: readonly number[];
  readonly values: Float32Array;
};

/** Mostly ordinary magnitudes, some zero, tiny and large; lengths around a block's edges. */
const element = fc.oneof(
  { weight: 6, arbitrary: fc.float({ min: -1, max: 1, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, -0, 2 ** -149, -(2 ** -126), 1e30, -1e30) },
);
const length = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 24 }) },
  { weight: 1, arbitrary: fc.constantFrom(4095, 4096, 4097, 8193) },
);

const cases: fc.Arbitrary<Case> = fc
  .record({
    codec: fc.constantFrom(...CODEC_NAMES),
    parts: fc.array(fc.tuple(length, fc.boolean()), { minLength: 1, maxLength: 10 }),
    pattern: fc.array(element, { minLength: 1, maxLength: 60 }),
  })
  .map(({ codec, parts, pattern }) => {
    const fragments = parts.map(([size], i) => ({
      name: `f${i}`,
      shape: [size],
      dtype: "f32" as const,
    }));
    const chosen = parts.flatMap(([, on], i) => (on ? [i] : []));
    const covered = chosen.length > 0 ? chosen : [parts.length - 1];
    const values = Float32Array.from(
      { length: elementCount(fragments) },
      // Shifted on each lap, so that blocks of a long fragment differ.
      (_, i) => pattern[(i + Math.floor(i / 61)) % pattern.length] ?? 0,
    );
    return { codec, fragments, covered, values };
  });

/** The spec's §2.3–2.7 in plain numbers: no typed-array tricks, one element at a time. */
function dumbEncode({ codec, fragments, covered, values }: Case): number[] {
  const le = (value: bigint | number, width: number) =>
    Array.from({ length: width }, (_, k) => Number((BigInt(value) >> BigInt(8 * k)) & 255n));
  const blocks: number[][] = [];
  let at = 0;
  let elements = 0;
  for (const [index, fragment] of fragments.entries()) {
    const size = fragment.shape.reduce((a, b) => a * b, 1);
    const mine = [...values.subarray(at, at + size)];
    at += size;
    if (!covered.includes(index)) continue;
    elements += size;
    while (mine.length > 0) blocks.push(mine.splice(0, 4096));
  }
  const bitmap = new Array<number>(Math.ceil(fragments.length / 8)).fill(0);
  for (const index of covered) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) + 2 ** (index % 8);
  const scales: number[] = [];
  const payloads: number[] = [];
  for (const block of blocks) {
    const { scale, payload } = dumbBlock(codec, block);
    scales.push(...new Uint8Array(Float32Array.of(scale).buffer));
    payloads.push(...payload);
  }
  const id = { q8: 1, ternary: 2, sign: 3 }[codec];
  const header = [77, 72, 85, 80, 1, id, ...le(fragments.length, 2), ...le(elements, 8)];
  return [...header, ...bitmap, ...scales, ...payloads];
}

function dumbBlock(codec: CodecName, x: number[]): { scale: number; payload: number[] } {
  const magnitudes = x.map(Math.abs);
  const mean = magnitudes.reduce((a, b) => a + b, 0) / x.length;
  const threshold = Math.fround(0.75 * mean);
  const above = magnitudes.filter((m) => m > threshold);
  let scale = Math.fround(
    codec === "q8"
      ? magnitudes.reduce((a, b) => Math.max(a, b)) / 127
      : codec === "sign"
        ? mean
        : above.length === 0
          ? 0
          : above.reduce((a, b) => a + b, 0) / above.length,
  );
  if (scale < 2 ** -126) scale = 0;
  const symbols = x.map((value) => {
    const negative = value < 0 || Object.is(value, -0);
    if (scale === 0) return 0;
    if (codec === "sign") return negative ? 1 : 0;
    if (codec === "ternary") return Math.abs(value) > threshold ? (negative ? 2 : 1) : 0;
    const level = Math.min(127, Math.floor(Math.abs(value) / scale + 0.5));
    return negative ? (256 - level) % 256 : level;
  });
  const perByte = { q8: 1, ternary: 5, sign: 8 }[codec];
  const base = { q8: 256, ternary: 3, sign: 2 }[codec];
  const payload: number[] = [];
  while (symbols.length > 0) {
    payload.push(symbols.splice(0, perByte).reduce((sum, s, k) => sum + s * base ** k, 0));
  }
  return { scale, payload };
}

test("the encoder agrees with a dumb second implementation, byte for byte", () => {
  fc.assert(
    fc.property(cases, (given) => {
      assert.equal(toHex(encodeUpdate(given)), toHex(Uint8Array.from(dumbEncode(given))));
    }),
  );
});

test("what is encoded decodes, covers the same fragments, and is zero elsewhere", () => {
  fc.assert(
    fc.property(cases, (given) => {
      const decoded = decodeUpdate(encodeUpdate(given), given.fragments, given);
      assert.ok(decoded.ok);
      assert.deepEqual(decoded.value.covered, given.covered);
      let at = 0;
      for (const [index, fragment] of given.fragments.entries()) {
        const end = at + (fragment.shape[0] ?? 0);
        const part = decoded.value.values.subarray(at, end);
        if (!given.covered.includes(index)) {
          assert.ok(part.every((v) => v === 0));
        }
        at = end;
      }
    }),
  );
});

test("error bounds: q8 half a level, ternary and sign never more energy than the block had", () => {
  fc.assert(
    fc.property(cases, ({ codec, values }) => {
      const fragments = [{ name: "x", shape: [values.length], dtype: "f32" as const }];
      const decoded = decodeUpdate(encodeUpdate({ codec, fragments, values }), fragments);
      assert.ok(decoded.ok);
      for (let from = 0; from < values.length; from += 4096) {
        const x = values.subarray(from, from + 4096);
        const y = decoded.value.values.subarray(from, from + 4096);
        const errors = Array.from(x, (v, i) => Math.abs(v - (y[i] ?? NaN)));
        const peak = x.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        if (codec === "q8") {
          const bound = Math.max((peak / 127) * 0.5 * (1 + 1e-5), 127 * 2 ** -126);
          assert.ok(Math.max(...errors) <= bound, `${Math.max(...errors)} > ${bound}`);
        }
        const energy = x.reduce((a, b) => a + b * b, 0);
        const lost = errors.reduce((a, b) => a + b * b, 0);
        assert.ok(lost <= energy * (1 + 1e-6), `${codec}: ${lost} > ${energy}`);
      }
    }),
  );
});

/** Changes that a hostile sender might make to good bytes. */
const mutations = fc.array(
  fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom("set", "cut", "grow")),
  { minLength: 1, maxLength: 4 },
);

function mutated(bytes: Uint8Array, changes: readonly (readonly [number, number, string])[]) {
  let out = bytes.slice();
  for (const [at, byte, kind] of changes) {
    if (kind === "cut") out = out.slice(0, at % (out.length + 1));
    else if (kind === "grow") out = Uint8Array.of(...out, byte);
    else if (out.length > 0) out[at % Math.min(out.length, 64)] = byte;
  }
  return out;
}

const small = cases.filter(({ values }) => values.length < 200);

test("mutated and random bytes never throw; what is accepted is the one encoding of its values", () => {
  fc.assert(
    fc.property(small, mutations, fc.uint8Array({ maxLength: 200 }), (given, changes, noise) => {
      const good = encodeUpdate(given);
      for (const bytes of [good, mutated(good, changes), noise]) {
        const { fragments } = given;
        const checked = checkUpdate(bytes, fragments);
        const decoded = decodeUpdate(bytes, fragments);
        assert.equal(decoded.ok, checked.ok);
        if (!decoded.ok) {
          const out = new Float32Array(given.values.length).fill(7);
          assert.deepEqual(decodeUpdateInto(out, bytes, fragments), decoded);
          assert.ok(
            out.every((v) => v === 7),
            "a refused update writes nothing",
          );
          continue;
        }
        const { codec, values } = decoded.value;
        assert.equal(values.length, given.values.length);
        assert.ok(values.every(Number.isFinite));
        const again = encodeUpdate({ ...decoded.value, fragments });
        // q8's scale may come back one unit in the last place off: its levels still do not move.
        const masked = codec === "q8" ? withoutScales : toHex;
        assert.equal(masked(again, given), masked(bytes, given));
      }
    }),
    { numRuns: 300 },
  );
});

function withoutScales(bytes: Uint8Array, { fragments }: Case): string {
  const header = 16 + Math.ceil(fragments.length / 8);
  const bitmap = [...bytes.subarray(16, header)].map((b) => b.toString(2)).join("");
  // Fragments of a small case have one block each.
  const scales = [...bitmap].filter((bit) => bit === "1").length;
  return toHex(bytes.subarray(0, header)) + toHex(bytes.subarray(header + 4 * scales));
}
