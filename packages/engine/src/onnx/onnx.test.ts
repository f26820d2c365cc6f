import assert from "node:assert/strict";
import { test } from "node:test";
import * as ir from "../ir/ops.ts";
import { graphOf } from "../ir/tensor.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { lowerToOnnx } from "./lower.ts";
import { Message } from "./protobuf.ts";

function hex(message: Message): string {
  return Buffer.from(message.encode()).toString("hex");
}

test("protobuf: the examples of its encoding guide", () => {
  assert.equal(hex(new Message().int(1, 150)), "089601");
  assert.equal(hex(new Message().text(2, "testing")), "120774657374696e67");
  assert.equal(hex(new Message().message(3, new Message().int(1, 150))), "1a03089601");
  assert.equal(hex(new Message().int(1, -2)), "08feffffffffffffffff01");
  assert.equal(hex(new Message().float(5, 1)), "2d0000803f");
});

test("an equal node is emitted once", () => {
  const x = ir.input("x", [2]);
  const once = lowerToOnnx(graphOf({ y: ir.exp(x) }));
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
  const twice = lowerToOnnx(graphOf({ y: ir.add(ir.exp(x), ir.exp(x)) }));
  assert.equal(text(once).split("Exp").length, 2);
  assert.equal(text(twice).split("Exp").length, 2);
});

test("without fused products the same numbers come out", async () => {
  const [a, b] = [ir.input("a", [2, 3, 2]), ir.input("b", [2, 4, 3])];
  const y = ir.matmul(a, b, { transposeA: true, transposeB: true, scale: 0.5 });
  const bytes = Buffer.from(lowerToOnnx(graphOf({ y }), { fusedMatmul: false }));
  assert(!bytes.includes("FusedMatMul"));
  assert(Buffer.from(lowerToOnnx(graphOf({ y }))).includes("FusedMatMul"));
});

test("ONNX Runtime's refusal becomes an error with a hint", async () => {
  const ids = ir.input("ids", [2], "i32");
  const bad = ir.rope(ir.input("x", [1, 1, 2, 2]), ir.input("c", [2, 1]), ir.input("s", [2, 1]));
  const executable = await ortNode.compile(graphOf({ y: bad, z: ir.oneHot(ids, 3) }));
  await assert.rejects(executable.run({ ids: Int32Array.of(0, 1) }), /the input x is fed/);
  await executable.dispose();
});
