// Canonical JSON: the examples of RFC 8785, and the property that makes it canonical.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalHash, canonicalJson, type Json } from "./canonical.ts";

test("RFC 8785 §3.2.2: literals, numbers and escapes", () => {
  const value = JSON.parse(String.raw`{
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  }`) as Json;
  const expected = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`;
  assert.equal(canonicalJson(value), expected);
});

test("RFC 8785 §3.2.3: keys in the order of their UTF-16 code units", () => {
  const keys = ["\u20ac", "\r", "\ufb33", "1", "\u{1F600}", "\u0080", "\u00f6"];
  const value = Object.fromEntries(keys.map((key) => [key, 0]));
  const order = Object.keys(JSON.parse(canonicalJson(value).replace(/"1":0,/, "")) as object);
  assert.deepEqual(order, ["\r", "\u0080", "\u00f6", "\u20ac", "\u{1F600}", "\ufb33"]);
  assert(canonicalJson(value).startsWith('{"\\r":0,"1":0,'));
});

test("RFC 8785 appendix B: numbers by their bits", () => {
  const samples: readonly (readonly [bits: bigint, text: string])[] = [
    [0x0000000000000000n, "0"],
    [0x8000000000000000n, "0"],
    [0x0000000000000001n, "5e-324"],
    [0x7fefffffffffffffn, "1.7976931348623157e+308"],
    [0x4340000000000000n, "9007199254740992"],
    [0x44b52d02c7e14af5n, "9.999999999999997e+22"],
    [0x44b52d02c7e14af6n, "1e+23"],
    [0x444b1ae4d6e2ef50n, "1e+21"],
    [0x3eb0c6f7a0b5ed8dn, "0.000001"],
  ];
  const view = new DataView(new ArrayBuffer(8));
  for (const [bits, text] of samples) {
    view.setBigUint64(0, bits);
    assert.equal(canonicalJson(view.getFloat64(0)), text);
  }
});

test("what has no canonical text is a bug: NaN, infinities, lone surrogates", () => {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, "\ud800", "a\udc00", { "\ud800": 1 }];
  for (const value of values) {
    assert.throws(() => canonicalJson(value), { name: "AssertionError" });
    assert.throws(() => canonicalJson([[value]]), { name: "AssertionError" });
  }
});

test("a field that is undefined is left out; null stays; __proto__ is a key like any other", () => {
  assert.equal(canonicalJson({ b: undefined, a: null }), '{"a":null}');
  const value = JSON.parse('{"a":1,"__proto__":{"x":1}}') as Json;
  assert.equal(canonicalJson(value), '{"__proto__":{"x":1},"a":1}');
});

const json = fc.jsonValue({ stringUnit: "grapheme" }) as fc.Arbitrary<Json>;

test("the text reads back as the value, and is a fixed point", () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = canonicalJson(value);
      const again = JSON.parse(text) as Json;
      assert.deepEqual(again, JSON.parse(JSON.stringify(value)));
      assert.equal(canonicalJson(again), text);
    }),
  );
});

test("the order in which fields were written does not show", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), json), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      assert.equal(canonicalHash(reversed), canonicalHash(value));
    }),
  );
});

test("canonicalHash is SHA-256 of the canonical text", () => {
  const expected = createHash("sha256").update('{"a":[1,"é"]}').digest("hex");
  assert.equal(canonicalHash({ a: [1, "é"] }), expected);
});
