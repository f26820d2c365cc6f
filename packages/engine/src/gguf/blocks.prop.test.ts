// Stored numbers: the bytes of ggml's own layouts, and how far from the truth they may be.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeFloats } from "../checkpoint/encode-values.ts";
import { decodeFloats } from "../checkpoint/stored-values.ts";
import { bytesOf, decodeBlocks, encodeBlocks, fitsBlocks } from "./blocks.ts";

const blocks = fc
  .array(fc.float({ noNaN: true, min: -1e4, max: 1e4 }), { minLength: 32, maxLength: 96 })
  .map((values) => Float32Array.from(values.slice(0, values.length - (values.length % 32))));

test("8 bits are within half a step of each block's 127, and 4 bits within one of its 8", () => {
  fc.assert(
    fc.property(blocks, fc.constantFrom("Q8_0" as const, "Q4_0" as const), (values, type) => {
      const bytes = encodeBlocks(type, values);
      assert.equal(bytes.length, bytesOf(type, [values.length]));
      const read = decodeBlocks(type, bytes);
      for (const [i, value] of values.entries()) {
        const start = i - (i % 32);
        const most = Math.max(...values.subarray(start, start + 32).map(Math.abs));
        // The scale itself is a half float: 2⁻¹¹ of it, or its smallest step.
        const scale = most * 2 ** -11 + 127 * 2 ** -25;
        const step = type === "Q8_0" ? most / 254 : most / 8;
        const difference = Math.abs(value - (read[i] ?? Number.NaN));
        assert.ok(difference <= step + scale + 1e-9, `${value} of ${most}: off by ${difference}`);
      }
    }),
  );
});

test("blocks have ggml's layout: a half float, then numbers; 4 bits hold i and i + 16", () => {
  const values = Float32Array.from({ length: 32 }, (_, i) => (i === 3 ? -127 : i));
  const bytes = encodeBlocks("Q8_0", values);
  assert.deepEqual([...bytes.subarray(0, 7)], [0x00, 0x3c, 0, 1, 2, 129, 4]);
  const small = Float32Array.from({ length: 32 }, (_, i) => (i === 0 ? -8 : i % 8));
  const nibbles = encodeBlocks("Q4_0", small);
  assert.deepEqual([...nibbles.subarray(0, 5)], [0x00, 0x3c, 0x80, 0x99, 0xaa]);
  assert.deepEqual(decodeBlocks("Q4_0", nibbles), small);
  const nothing = new Float32Array(32);
  for (const type of ["Q8_0", "Q4_0"] as const) {
    assert.deepEqual(decodeBlocks(type, encodeBlocks(type, nothing)).map(Math.abs), nothing);
  }
});

test("a matrix whose rows are no whole blocks does not fit", () => {
  assert.equal(fitsBlocks("Q8_0", [3, 64]), true);
  assert.equal(fitsBlocks("Q4_0", [64, 48]), false);
  assert.equal(fitsBlocks("F16", [64, 3]), true);
});

test("half and brain floats are the nearest, ties to even, and stay what they are", () => {
  for (const type of ["F16", "BF16"] as const) {
    const all = new Uint8Array(new Uint16Array(1 << 16).map((_, bits) => bits).buffer);
    const values = new Float32Array(1 << 16);
    decodeFloats(all, type, values);
    const again = encodeFloats(values, type);
    for (let bits = 0; bits < values.length; bits++) {
      if (Number.isNaN(values[bits])) continue;
      const found = (again[2 * bits] ?? 0) | ((again[2 * bits + 1] ?? 0) << 8);
      assert.equal(found, bits, `${type} ${bits}`);
    }
  }
  const between = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65_519, 65_520, 2 ** -25);
  const read = new Float32Array(between.length);
  decodeFloats(encodeFloats(between, "F16"), "F16", read);
  assert.deepEqual([...read], [1, 1 + 2 ** -9, 65_504, Number.POSITIVE_INFINITY, 0]);
  const brain = Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20);
  const short = new Float32Array(brain.length);
  decodeFloats(encodeFloats(brain, "BF16"), "BF16", short);
  assert.deepEqual([...short], [1, 1 + 2 ** -6, 1 + 2 ** -7]);
});
