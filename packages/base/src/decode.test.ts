// Decoders: each kind at its limit and one past it, messages that name the place, hostile values.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checked,
  type Decoder,
  describe,
  fallback,
  flag,
  hex,
  integer,
  line,
  list,
  nullable,
  object,
  oneOf,
  pathText,
  problemText,
  real,
  tagged,
  text,
} from "./decode.ts";

/** The decoded value, or the problem as a sentence. */
function run<T>(decoder: Decoder<T>, value: unknown): T | string {
  const decoded = decoder(value);
  return decoded.ok ? decoded.value : problemText(decoded.error);
}

function refuses(decoder: Decoder<unknown>, values: readonly unknown[]): void {
  for (const value of values) assert.equal(decoder(value).ok, false, describe(value));
}

test("integer: both limits, and nothing that is not exact", () => {
  const decoder = integer(2, 5);
  for (const value of [2, 3, 5]) assert.equal(run(decoder, value), value);
  refuses(decoder, [1, 6, 2.5, "3", null, Number.NaN, 2n, [3], true]);
  refuses(integer(0), [2 ** 53, Number.POSITIVE_INFINITY, -1]);
  assert.equal(run(decoder, 6), "the value: expected an integer ≥ 2 and ≤ 5, found 6");
  assert.equal(run(integer(1), "many"), 'the value: expected an integer ≥ 1, found "many"');
});

test("real: within bounds and finite", () => {
  const decoder = real(-0.5, 1);
  for (const value of [-0.5, 0.25, 1]) assert.equal(run(decoder, value), value);
  refuses(decoder, [-0.51, 1.01, Number.NaN, "0.1", null]);
  refuses(real(0, Number.POSITIVE_INFINITY), [Number.POSITIVE_INFINITY]);
});

test("negative zero becomes zero", () => {
  assert(Object.is(run(integer(0), JSON.parse("-0")), 0));
  assert(Object.is(run(real(-1, 1), -0), 0));
});

test("text: length limits and no lone surrogates", () => {
  assert.equal(run(text(3), "abc"), "abc");
  assert.equal(run(text(2), "\u{1F600}"), "\u{1F600}");
  refuses(text(3), ["", "abcd", "\ud800", "a\udc00", 3, null, ["a"]]);
  assert.equal(run(line(9), "Zoë’s 📱"), "Zoë’s 📱");
  refuses(line(9), ["", "a\nb", "\u001b[2J", "\u009b2J", "a\u202eb", "\u2028", "\ud800", 3, null]);
});

test("hex, flag, oneOf, nullable, fallback, checked", () => {
  assert.equal(run(hex(2), "00ff"), "00ff");
  refuses(hex(2), ["00f", "00FF", "00ff00", "00fg", "00ff\n", 255]);
  assert.equal(run(flag, false), false);
  refuses(flag, [0, "true", null, undefined]);
  assert.equal(run(oneOf("a", 2), 2), 2);
  assert.equal(run(oneOf("a", "b"), "c"), 'the value: expected one of a, b, found "c"');
  assert.equal(run(oneOf("a"), 1), 'the value: expected "a", found 1');
  assert.equal(run(nullable(flag), null), null);
  refuses(nullable(flag), [undefined, 0]);
  assert.equal(run(fallback(integer(1), 7), undefined), 7);
  refuses(fallback(integer(1), 7), [null, 0]);
  const even = checked("an even number", (value): value is number => Number(value) % 2 === 0);
  assert.equal(run(even, 3), "the value: expected an even number, found 3");
});

test("list: limits are checked before the items, and the item's place is named", () => {
  const seen: unknown[] = [];
  const spy: Decoder<unknown> = (value) => {
    seen.push(value);
    return { ok: true, value };
  };
  refuses(list(spy, { max: 3 }), [new Array(1_000_000).fill(0), "abc", { length: 1 }, null]);
  assert.deepEqual(seen, []);
  assert.deepEqual(run(list(integer(0), { min: 1, max: 3 }), [1, 2, 3]), [1, 2, 3]);
  refuses(list(integer(0), { min: 1, max: 3 }), [[], [1, 2, 3, 4]]);
  assert.equal(
    run(list(integer(0), { max: 3 }), [1, "x"]),
    '[1]: expected an integer ≥ 0, found "x"',
  );
  refuses(list(integer(0), { max: 3 }), [new Array(2)]);
});

const point = object({ x: integer(0), tags: fallback(list(text(5), { max: 2 }), []) });

test("object: exactly its fields, in their own order", () => {
  assert.deepEqual(run(point, { x: 1 }), { x: 1, tags: [] });
  assert.deepEqual(Object.keys(run(point, { tags: [], x: 1 })), ["x", "tags"]);
  assert.equal(run(point, {}), "x: expected an integer ≥ 0, found nothing");
  assert.equal(run(point, { x: 1, y: 2 }), "y: expected one of x, tags, found an unknown field");
  assert.equal(
    run(object({ a: object({ b: point }) }), { a: { b: { x: 1, tags: ["a", 2] } } }),
    "a.b.tags[1]: expected a text of 1 to 5 characters, found 2",
  );
  refuses(point, [null, [], [1], "x", 1, undefined]);
});

test("object: an optional field that is left out is not there at all", () => {
  const optional = fallback<number | undefined>(integer(0), undefined);
  assert.deepEqual(run(object({ x: optional }), {}), {});
});

test("object: __proto__ and constructor are unknown fields, and nothing is inherited", () => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const value = JSON.parse(`{"x": 1, ${JSON.stringify(key)}: {"y": 1}}`) as unknown;
    assert.equal(run(point, value), `${key}: expected one of x, tags, found an unknown field`);
  }
  assert.equal(({} as { y?: number }).y, undefined);
  const anything = checked("anything at all", (value): value is unknown => value !== undefined);
  refuses(object({ constructor: anything }), [{}]);
  refuses(object({ x: integer(0) }), [Object.create({ x: 1 })]);
});

const shape = tagged("kind", {
  circle: object({ kind: oneOf("circle"), radius: real(0, 9) }),
  point: object({ kind: oneOf("point") }),
});

test("tagged: by its own tag only", () => {
  assert.deepEqual(run(shape, { kind: "circle", radius: 2 }), { kind: "circle", radius: 2 });
  assert.equal(
    run(shape, { kind: "square" }),
    'kind: expected one of circle, point, found "square"',
  );
  assert.equal(run(shape, null), "kind: expected one of circle, point, found nothing");
  refuses(shape, [{ kind: "toString" }, { kind: "__proto__" }, { kind: ["circle"] }, [], "circle"]);
  refuses(shape, [Object.create({ kind: "point" })]);
});

test("messages are bounded, whatever the value", () => {
  const long = "x".repeat(1_000_000);
  const values: unknown[] = [long, { [long]: 1 }, [long], () => long, Symbol(long), 10n ** 9999n];
  for (const value of values) {
    for (const decoder of [text(3), integer(0), point, shape, list(flag, { max: 1 })]) {
      const message = run<unknown>(decoder, value);
      assert(typeof message === "string" && message.length < 300, String(message).slice(0, 99));
    }
  }
});

test("describe and pathText", () => {
  const table: readonly (readonly [unknown, string])[] = [
    [undefined, "nothing"],
    [null, "null"],
    [true, "true"],
    [-1.5, "-1.5"],
    ["a\nb", '"a\\nb"'],
    [[1, 2], "a list of 2"],
    [{ a: 1 }, "an object"],
    [() => 1, "a function"],
    [1n, "a bigint"],
  ];
  for (const [value, words] of table) assert.equal(describe(value), words);
  assert.equal(pathText(["workers", 3, "name"]), "workers[3].name");
  assert.equal(pathText(["a", "b c", ""]), 'a["b c"][""]');
});

test("deep nesting is refused without a deep stack", () => {
  let value: unknown = 1;
  for (let depth = 0; depth < 100_000; depth++) value = [value];
  refuses(point, [value]);
  refuses(list(list(integer(0), { max: 9 }), { max: 9 }), [value]);
});
