// How much memory a run of a graph needs beside its inputs and outputs, before it runs.
// It deliberately follows ONNX Runtime's own order of nodes and its reuse of buffers.
import { assert, defined } from "@manyhands/base/assert";
import { type Graph, type OpKind, sizeOf, type Tensor, topologicalOrder } from "../ir/tensor.ts";
import { type Allocation, Arena } from "./arena.ts";

const FLOAT_BYTES = 4;

/** These results are their first input under another name or shape. */
const VIEWS: ReadonlySet<OpKind> = new Set(["reshape", "stopGradient", "custom"]);

/** These may overwrite an input that nobody needs any more. */
const IN_PLACE: ReadonlySet<OpKind> = new Set([
  "add",
  "sub",
  "mul",
  "div",
  "neg",
  "exp",
  "log",
  "sqrt",
  "reciprocal",
  "sigmoid",
  "tanh",
  "pow",
  "softmax",
]);

export type GraphMemory = {
  /** Touched in the runtime's arena by one run, and kept by it. */
  readonly arenaBytes: number;
  /** At the worst moment of a run, if nothing were lost between buffers. */
  readonly liveBytes: number;
  /** Constants, which the runtime copies. */
  readonly constantBytes: number;
};

/** The value that a node's bytes belong to: itself, or what it is a view of. */
function ownerOf(node: Tensor): Tensor {
  let owner = node;
  while (VIEWS.has(owner.op.kind)) owner = defined(owner.inputs[0], "a view has an input");
  return owner;
}

/** Nodes that do work, in ONNX Runtime's order: depth first from the last output, newest first. */
function runOrder(graph: Graph): readonly Tensor[] {
  const index = new Map(topologicalOrder(graph.outputs.values()).map((node, i) => [node, i]));
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  const stack = [...graph.outputs.values()].map((node) => ({ node, leaving: false }));
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (top.leaving) {
      order.push(top.node);
      continue;
    }
    if (seen.has(top.node)) continue;
    seen.add(top.node);
    stack.push({ node: top.node, leaving: true });
    // What a custom node's rule is told about beside its value computes nothing.
    const inputs = top.node.op.kind === "custom" ? top.node.inputs.slice(0, 1) : top.node.inputs;
    const sorted = inputs.toSorted((a, b) => (index.get(a) ?? 0) - (index.get(b) ?? 0));
    stack.push(...sorted.map((node) => ({ node, leaving: false })));
  }
  return order;
}

/**
 * What one run of a graph touches on ONNX Runtime's CPU backend, in bytes: each node's output is
 * allocated in the runtime's order, views and operations in place take none, and memory is free
 * after its last use. Feeds and outputs are the caller's.
 */
export function graphMemory(graph: Graph): GraphMemory {
  const work = runOrder(graph).filter((node) => !VIEWS.has(node.op.kind));
  const isGiven = (node: Tensor): boolean =>
    node.op.kind === "input" || node.op.kind === "constant";
  const outputs = new Set([...graph.outputs.values()].map(ownerOf));
  const uses = usesOf(work);
  const arena = new Arena();
  const held = new Map<Tensor, Allocation>();
  let [live, liveBytes, constantBytes] = [0, 0, 0];
  for (const node of work) {
    const bytes = sizeOf(node.shape) * FLOAT_BYTES;
    if (node.op.kind === "constant") constantBytes += bytes;
    if (isGiven(node)) continue;
    const inputs = [...new Set(node.inputs.map(ownerOf))].filter((x) => held.has(x));
    const dying = inputs.filter((x) => (uses.get(x) ?? 0) === 1);
    for (const x of inputs) uses.set(x, (uses.get(x) ?? 0) - 1);
    const reused = IN_PLACE.has(node.op.kind)
      ? dying.find((x) => sizeOf(x.shape) * FLOAT_BYTES === bytes)
      : undefined;
    if (reused && !outputs.has(node)) {
      held.set(node, defined(held.get(reused), "what is reused is held"));
      held.delete(reused);
    } else if (!outputs.has(node)) {
      held.set(node, arena.allocate(bytes));
      live += bytes;
    }
    liveBytes = Math.max(liveBytes, live);
    for (const x of dying) {
      const allocation = held.get(x);
      if (allocation === undefined) continue;
      arena.free(allocation);
      held.delete(x);
      live -= sizeOf(x.shape) * FLOAT_BYTES;
    }
  }
  assert(held.size === 0 || outputs.size > 0, "every value has a last use");
  return { arenaBytes: arena.touchedBytes, liveBytes, constantBytes };
}

/** How many of these nodes read each value. */
function usesOf(work: readonly Tensor[]): Map<Tensor, number> {
  const uses = new Map<Tensor, number>();
  for (const node of work) {
    for (const x of new Set(node.inputs.map(ownerOf))) uses.set(x, (uses.get(x) ?? 0) + 1);
  }
  return uses;
}
