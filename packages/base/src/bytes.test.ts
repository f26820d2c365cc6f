// Hex, UTF-8, order and fixed-width fields: tables, and agreement with Node's Buffer.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  compareBytes,
  compareText,
  concatBytes,
  equalBytes,
  fromHex,
  isHex,
  toHex,
  uint64,
  utf8,
} from "./bytes.ts";

const bytes = fc.uint8Array({ maxLength: 64 });

test("hex: there and back, as Buffer does", () => {
  fc.assert(
    fc.property(bytes, (value) => {
      assert.equal(toHex(value), Buffer.from(value).toString("hex"));
      assert.deepEqual(fromHex(toHex(value)), value);
      assert(isHex(toHex(value), value.length));
    }),
  );
});

test("isHex refuses wrong length, upper case, spaces and line ends", () => {
  const cases = ["0", "0g", "AB", " ab", "ab ", "ab\n", "abcd", ""];
  for (const text of cases) assert.equal(isHex(text, 1), false, JSON.stringify(text));
  assert(isHex("", 0));
  for (const text of ["0", "AB", "ab\n", "zz"]) {
    assert.throws(() => fromHex(text), { name: "AssertionError" });
  }
});

test("utf8 agrees with Buffer on well-formed text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      assert.deepEqual([...utf8(text)], [...Buffer.from(text, "utf8")]);
    }),
  );
});

test("concatBytes copies: a later write to a part does not show", () => {
  const part = new Uint8Array([1, 2]);
  const joined = concatBytes(part, new Uint8Array(), new Uint8Array([3]));
  part[0] = 9;
  assert.deepEqual(joined, new Uint8Array([1, 2, 3]));
  assert.deepEqual(concatBytes(), new Uint8Array());
});

test("equalBytes and compareBytes agree with Buffer", () => {
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(a, b));
      assert.equal(equalBytes(a, b), Buffer.compare(a, b) === 0);
      assert(equalBytes(a, a.slice()));
    }),
  );
  assert.equal(equalBytes(new Uint8Array([1]), new Uint8Array([1, 2])), false);
});

test("compareText orders by code unit, not by locale", () => {
  const words = ["b", "Z", "a", "é", "z", "10", "9", "\u{1F600}", "\ufb33"];
  const sorted = ["10", "9", "Z", "a", "b", "z", "é", "\u{1F600}", "\ufb33"];
  assert.deepEqual(words.toSorted(compareText), sorted);
  assert.equal(compareText("a", "a"), 0);
});

test("uint64 is big-endian, exact, and refuses what does not fit", () => {
  assert.equal(toHex(uint64(258)), "0000000000000102");
  assert.equal(toHex(uint64(Number.MAX_SAFE_INTEGER)), "001fffffffffffff");
  assert.equal(toHex(uint64((1n << 64n) - 1n)), "ffffffffffffffff");
  for (const value of [-1, -1n, 1n << 64n, 1.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => uint64(value), { name: "AssertionError" }, String(value));
  }
});
