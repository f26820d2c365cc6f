import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as ir from "./ops.ts";
import { broadcastShapes, graphOf, ShapeError, topologicalOrder } from "./tensor.ts";

const dims = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 });

/** A shape that broadcasts to the given one: trailing axes, some of them 1. */
function narrowed(shape: readonly number[]): fc.Arbitrary<readonly number[]> {
  return fc
    .tuple(fc.nat({ max: shape.length }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }))
    .map(([skip, ones]) => shape.slice(skip).map((dim, axis) => (ones[axis] ? 1 : dim)));
}

const pair = dims.chain((shape) => fc.tuple(fc.constant(shape), narrowed(shape)));

test("a shape absorbs every shape that broadcasts to it, from either side", () => {
  fc.assert(
    fc.property(pair, ([shape, narrow]) => {
      assert.deepEqual(broadcastShapes("add", shape, narrow), shape);
      assert.deepEqual(broadcastShapes("add", narrow, shape), shape);
    }),
  );
});

test("shapes whose aligned dimensions differ and are not 1 are refused", () => {
  fc.assert(
    fc.property(dims, fc.integer({ min: 2, max: 5 }), (shape, dim) => {
      const build = (): unknown => broadcastShapes("add", [...shape, dim], [dim + 1]);
      assert.throws(build, ShapeError);
    }),
  );
});

test("slices of a concat are its parts' shapes, and a transpose undone is the shape itself", () => {
  const shapes = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }));
  fc.assert(
    fc.property(shapes, fc.integer({ min: 1, max: 4 }), ([left, right], width) => {
      const parts = [ir.input("a", [width, left]), ir.input("b", [width, right])];
      const whole = ir.concat(parts, 1);
      assert.deepEqual(whole.shape, [width, left + right]);
      assert.deepEqual(ir.slice(whole, 1, left, left + right).shape, [width, right]);
      assert.deepEqual(ir.transpose(ir.transpose(whole, [1, 0]), [1, 0]).shape, whole.shape);
    }),
  );
});

const x = ir.input("x", [2, 3]);

const REFUSED: readonly (readonly [string, () => unknown, RegExp])[] = [
  ["inner dimensions", () => ir.matmul(x, x), /matmul: inner dimensions of a · b .*\[2, 3\]/],
  ["a vector in a product", () => ir.matmul(x, ir.input("v", [3])), /two axes or more/],
  ["an axis that is not there", () => ir.reduceSum(x, [2]), /no axis 2/],
  ["an axis twice", () => ir.reduceSum(x, [1, -1]), /repeat/],
  ["a reshape that loses elements", () => ir.reshape(x, [5]), /sizes must be equal/],
  ["a slice outside", () => ir.slice(x, 1, 1, 4), /must lie in axis 1/],
  ["an empty slice", () => ir.slice(x, 1, 1, 1), /must lie in axis 1/],
  ["no permutation", () => ir.transpose(x, [0, 0]), /must permute/],
  ["an expand that shrinks", () => ir.expand(x, [1, 3]), /must broadcast/],
  ["a concat of unlike parts", () => ir.concat([x, ir.input("y", [2, 4])], 0), /axis 0 only/],
  ["float ids", () => ir.gather(x, ir.input("ids", [2])), /i32 ids/],
  ["mixed types", () => ir.add(x, ir.input("i", [2, 3], "i32")), /types must be equal/],
  ["a constant of another size", () => ir.constant(new Float32Array(3), [2]), /fill the shape/],
  ["two inputs of one name", () => graphOf({ y: ir.add(x, ir.input("x", [2, 3])) }), /unique/],
];

for (const [name, build, message] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(build, (caught) => caught instanceof ShapeError && message.test(caught.message));
  });
}

test("inputs come before users, each node once, also in a graph deeper than the stack", () => {
  let deep = x;
  for (let i = 0; i < 50_000; i++) deep = ir.add(deep, deep);
  const order = topologicalOrder([deep]);
  assert.equal(order.length, 50_001);
  assert.equal(order[0], x);
  assert.equal(order.at(-1), deep);
});
