import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { AssertionError } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { Random } from "@manyhands/base/random";
import * as ir from "../ir/ops.ts";
import {
  type Graph,
  graphOf,
  inputName,
  type Tensor,
  type TensorData,
  topologicalOrder,
} from "../ir/tensor.ts";
import { stepGraph } from "../train/step-graph.ts";
import { REFEREE_RUNS, refereeHash } from "./referee.contract.ts";
import { createReferee } from "./referee.ts";

const FILE = new URL(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
const wasm = readFileSync(FILE);
const referee = createReferee(wasm);

test("another WASM file is refused", () => {
  const changed = Uint8Array.from(wasm);
  changed[changed.length - 1] = 255 - (changed.at(-1) ?? 0);
  assert.throws(() => createReferee(changed), InputError);
});

test("a constant that a kernel could pack beforehand is refused", async () => {
  const constant = ir.constant(Float32Array.of(1, 2, 3, 4), [2, 2]);
  const graph = graphOf({ y: ir.matmul(ir.input("x", [2, 2]), constant) });
  await assert.rejects(referee.compile(graph), AssertionError);
});

for (const run of REFEREE_RUNS) {
  test(`${run.name}: after twenty steps the weights have the pinned hash`, async () => {
    assert.equal(await refereeHash(referee, run), run.weightsHash);
  });
}

function bits(data: Float32Array | undefined): string {
  assert(data, "there is a value");
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
}

/** Numbers for every input of a graph; ids stay below the bound. */
function feedsOf(graph: Graph, idBound: number): Record<string, TensorData> {
  const random = new Random(5);
  const entries = graph.inputs.map((node) => {
    const length = node.shape.reduce((size, dim) => size * dim, 1);
    if (node.dtype === "i32") {
      const ids = Int32Array.from({ length }, () => Math.floor(random.unit() * idBound));
      return [inputName(node), ids] as const;
    }
    // Positive, as second moments and rates are.
    return [inputName(node), Float32Array.from({ length }, () => 0.01 + random.unit())] as const;
  });
  return Object.fromEntries(entries);
}

/** A node whose inputs are fed; constants stay. Booleans travel as numbers. */
function alone(
  node: Tensor,
  values: ReadonlyMap<Tensor, Float32Array>,
): { readonly graph: Graph; readonly feeds: Record<string, TensorData> } {
  const feeds: Record<string, TensorData> = {};
  const inputs = node.inputs.map((x, index) => {
    if (x.op.kind === "constant") return x;
    const value = values.get(x);
    assert(value, "inputs come before users");
    const name = `x${index}`;
    if (x.dtype === "f32") {
      feeds[name] = value;
      return ir.input(name, x.shape);
    }
    feeds[name] = Int32Array.from(value);
    const fed = ir.input(name, x.shape, "i32");
    return x.dtype === "i32" ? fed : ir.equal(fed, ir.constant(Int32Array.of(1), []));
  });
  return { graph: graphOf({ y: ir.cast({ ...node, inputs }, "f32") }), feeds };
}

const SKIPPED = new Set(["input", "constant", "custom", "stopGradient"]);

for (const { name, model, trains } of REFEREE_RUNS) {
  if (!("optimizer" in trains)) continue;
  const { optimizer } = trains;
  test(`${name}: any operation of a step, run alone, gives the bits of the graph`, async () => {
    const batch = { sequences: 1, contextLength: 8 };
    const { graph } = stepGraph(model, batch, optimizer);
    const nodes = topologicalOrder(graph.outputs.values()).filter((x) => x.op.kind !== "constant");
    const feeds = feedsOf(graph, 64);
    const whole = await referee.compile(graph);
    const expected = await whole.run(feeds);
    await whole.dispose();
    const exposed = nodes.map((node, index) => [`n${index}`, ir.cast(node, "f32")] as const);
    const open = await referee.compile(graphOf(Object.fromEntries(exposed)));
    const results = await open.run(feeds);
    await open.dispose();
    const values = new Map(nodes.map((node, i) => [node, results[`n${i}`] as Float32Array]));
    for (const [output, node] of graph.outputs) {
      assert.equal(bits(values.get(node)), bits(expected[output]), `exposing changed ${output}`);
    }
    const kinds = new Set<string>();
    for (const node of nodes) {
      if (SKIPPED.has(node.op.kind)) continue;
      const single = alone(node, values);
      const executable = await referee.compile(single.graph);
      const { y } = await executable.run(single.feeds);
      await executable.dispose();
      assert.equal(bits(y), bits(values.get(node)), `${node.op.kind} [${node.shape.join()}]`);
      kinds.add(node.op.kind);
    }
    assert(kinds.size > 20, `only ${[...kinds]}`);
  });
}
