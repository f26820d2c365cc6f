// Any value whatever, and any JSON text: decoders answer, never throw, and accept only what is so.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Decoder,
  fallback,
  flag,
  hex,
  integer,
  list,
  nullable,
  object,
  oneOf,
  problemText,
  real,
  tagged,
  text,
} from "./decode.ts";

const DECODERS: readonly Decoder<unknown>[] = [
  integer(0, 100),
  real(-1, 1),
  text(10),
  flag,
  hex(2),
  oneOf("a", "b", 3),
  nullable(flag),
  list(nullable(integer(0)), { max: 3 }),
  object({ a: fallback(flag, true), b: fallback(text(4), "x") }),
  tagged("kind", { a: object({ kind: oneOf("a"), n: integer(0) }) }),
];

test("no value makes a decoder throw, and every refusal is a bounded sentence", () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withSparseArray: true }), (value) => {
      for (const decoder of DECODERS) {
        const decoded = decoder(value, ["field"]);
        if (!decoded.ok) assert.match(problemText(decoded.error), /^field.{0,400}$/s);
      }
    }),
  );
});

test("what is accepted is accepted again, unchanged", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const decoder of DECODERS) {
        const decoded = decoder(value);
        if (!decoded.ok) continue;
        assert.deepEqual(decoder(decoded.value), decoded);
      }
    }),
  );
});

const shape = object({
  name: text(20),
  size: integer(1, 1000),
  parts: list(object({ share: real(0, 1), on: flag }), { max: 4 }),
});

const shapes = fc.record({
  name: fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 20 }),
  size: fc.integer({ min: 1, max: 1000 }),
  parts: fc.array(
    fc.record({ share: fc.double({ min: 0, max: 1, noNaN: true }), on: fc.boolean() }),
    { maxLength: 4 },
  ),
});

test("every value of the shape is accepted as it is", () => {
  fc.assert(
    fc.property(shapes, (value) => {
      const decoded = shape(value);
      assert(decoded.ok);
      assert.deepEqual(JSON.stringify(decoded.value), JSON.stringify(value));
    }),
  );
});

test("one field more, or one less, is refused by name", () => {
  fc.assert(
    fc.property(shapes, fc.constantFrom("name", "size", "parts"), (value, key) => {
      const more = shape({ ...value, extra: 1 });
      assert(!more.ok);
      assert.deepEqual(more.error.path, ["extra"]);
      const { [key]: _, ...rest } = value;
      const less = shape(rest);
      assert(!less.ok);
      assert.deepEqual(less.error.path, [key]);
    }),
  );
});
