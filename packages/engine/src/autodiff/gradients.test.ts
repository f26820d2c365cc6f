import assert from "node:assert/strict";
import { test } from "node:test";
import * as ir from "../ir/ops.ts";
import { graphOf, type Tensor, topologicalOrder } from "../ir/tensor.ts";
import { reference } from "../runtime/reference.ts";
import { gradients } from "./gradients.ts";

function kinds(node: Tensor): readonly string[] {
  return topologicalOrder([node]).map(({ op }) => op.kind);
}

function total(x: Tensor): Tensor {
  return ir.reduceSum(
    x,
    x.shape.map((_, axis) => axis),
  );
}

async function value(y: Tensor, feeds: Record<string, Float32Array>): Promise<number[]> {
  const executable = await reference.compile(graphOf({ y }));
  return Array.from((await executable.run(feeds))["y"] ?? []);
}

test("a node that is used twice gets the sum of both gradients", async () => {
  const x = ir.input("x", [2]);
  const [dx] = gradients(total(ir.mul(x, ir.mul(x, x))), [x]);
  assert(dx);
  assert.deepEqual(await value(dx, { x: Float32Array.of(2, -1) }), [12, 3]);
});

test("slices that tile their source give one concat, not padded sums", () => {
  const x = ir.input("x", [2, 6]);
  const parts = [ir.slice(x, 1, 0, 2), ir.slice(x, 1, 2, 3), ir.slice(x, 1, 3, 6)];
  const losses = parts.map((part, i) => total(ir.mul(part, ir.scalar(i + 1))));
  const loss = losses.reduce((sum, one) => ir.add(sum, one));
  const [dx] = gradients(loss, [x]);
  assert(dx);
  assert.equal(dx.op.kind, "concat");
  assert(!kinds(dx).includes("pad"));
});

test("slices that overlap are summed", async () => {
  const x = ir.input("x", [4]);
  const loss = ir.add(total(ir.slice(x, 0, 0, 3)), total(ir.slice(x, 0, 1, 4)));
  const [dx] = gradients(loss, [x]);
  assert(dx);
  assert.deepEqual(await value(dx, {}), [1, 2, 2, 1]);
});

test("what the loss does not reach gets zeros, also behind stopGradient", async () => {
  const [x, other] = [ir.input("x", [2]), ir.input("other", [3])];
  const loss = total(ir.mul(ir.stopGradient(x), ir.scalar(2)));
  const [dx, dother] = gradients(loss, [x, other]);
  assert(dx && dother);
  assert.deepEqual(await value(dx, {}), [0, 0]);
  assert.deepEqual(await value(dother, {}), [0, 0, 0]);
});

test("a custom gradient replaces the one of the nodes behind it", async () => {
  const x = ir.input("x", [2]);
  const y = ir.withGradient(ir.exp(x), [x], (dy) => [ir.mul(dy, ir.scalar(7))]);
  const [dx] = gradients(total(y), [x]);
  assert(dx);
  assert.deepEqual(await value(dx, {}), [7, 7]);
});

test("only a scalar has a gradient", () => {
  const x = ir.input("x", [2]);
  assert.throws(() => gradients(x, [x]), /one element/);
});
