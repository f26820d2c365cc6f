// What is to be computed twice is computed twice: the runtime's common-subexpression pass merges
// equal nodes of one graph, and would keep the activations after all. Counted in the runtime's own
// profile of what it ran, after its optimisations.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import ort from "onnxruntime-node";
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, inputName, sizeOf, topologicalOrder } from "../ir/tensor.ts";
import type { LlamaConfig } from "../model/config.ts";
import { lowerToOnnx } from "../onnx/lower.ts";
import { tensorOf } from "../runtime/ort-session.ts";
import { blockGraphs } from "./block-gradients.ts";
import { gradientGraph } from "./gradient-source.ts";

const model: LlamaConfig = {
  vocabSize: 61,
  hiddenSize: 64,
  intermediateSize: 96,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 32,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
const micro = { model, sequences: 2, contextLength: 32, share: 1 };
/** With the middle kept, what leads to it and away from it needs no second time. */
const NOT_REPEATED = 2;
const PRODUCTS: ReadonlySet<string> = new Set(["Gemm", "MatMul", "FusedMatMul"]);

/** Of what the runtime writes, what is read here. */
type ProfileEvent = { readonly name: string; readonly args?: { readonly op_name?: string } };

/** Matrix products that a session ran. */
async function productsRun(graph: Graph): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-profile-"));
  try {
    const session = await ort.InferenceSession.create(lowerToOnnx(graph), {
      enableProfiling: true,
      profileFilePrefix: join(folder, "profile"),
      logSeverityLevel: 4,
    });
    const feeds = graph.inputs.map((node) => {
      const length = sizeOf(node.shape);
      const data = node.dtype === "i32" ? new Int32Array(length) : new Float32Array(length).fill(1);
      return [inputName(node), tensorOf(ort, node, data)] as const;
    });
    await session.run(Object.fromEntries(feeds));
    session.endProfiling();
    await session.release();
    const [file = ""] = readdirSync(folder);
    const events: readonly ProfileEvent[] = JSON.parse(readFileSync(join(folder, file), "utf8"));
    return events.filter(({ name, args }) => {
      return name.endsWith("_kernel_time") && PRODUCTS.has(args?.op_name ?? "");
    }).length;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function productsWritten(graph: Graph): number {
  const order = topologicalOrder(graph.outputs.values());
  return order.filter(({ op }) => op.kind === "matmul").length;
}

test("a block's way back runs the products of its way forward again", async () => {
  const { "unblock 0": unblock, head, unembed } = blockGraphs(micro);
  assert(unblock);
  const backward = await productsRun(unblock);
  assert.equal(backward, productsWritten(unblock));
  const whole = await productsRun(gradientGraph(micro));
  // A table's gradient is a product too: it is in whole and in unembed.
  const edges = (await productsRun(head)) + (await productsRun(unembed));
  const perBlock = (whole - edges) / model.numHiddenLayers;
  assert.equal(backward, perBlock - NOT_REPEATED);
});

test("in one graph, equal products are one: so recomputation needs graphs of its own", async () => {
  const [x, w] = [ir.input("x", [4, 4]), ir.input("w", [4, 4])];
  const first = ir.matmul(x, w);
  const again = ir.matmul(x, w);
  assert.equal(await productsRun(graphOf({ first: ir.exp(first), second: ir.tanh(again) })), 1);
});
