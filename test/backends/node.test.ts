// The whole contract in Node: CPU, WASM with one thread, and WebGPU, where no node of a training
// graph may run on the CPU.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as ir from "@manyhands/engine/ir/ops";
import { graphOf } from "@manyhands/engine/ir/tensor";
import { withHostState } from "@manyhands/engine/runtime/host-state";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { ortNodeWebGpu } from "@manyhands/engine/runtime/ort-node-webgpu";
import { createSession } from "@manyhands/engine/runtime/ort-session";
import { ortWebWasm } from "@manyhands/engine/runtime/ort-web-wasm";
import { WEBGPU_SESSION } from "@manyhands/engine/runtime/ort-webgpu";
import { contractOf } from "@manyhands/engine/runtime/runtime.contract";
import { residentBytes } from "@manyhands/engine/testing/resident-bytes";
import ort from "onnxruntime-node";
import { readTruth, runChecks, runsOnWebGpu } from "./truth.ts";

const WASM_FILE = "onnxruntime-web/ort-wasm-simd-threaded.wasm";
const truth = readTruth();

test("Node, CPU keeps the whole contract", (t) =>
  runChecks(t, contractOf({ runtime: withHostState(ortNode), residentBytes }, truth)));

test("Node, WASM keeps the whole contract", (t) => {
  const wasm = readFileSync(new URL(import.meta.resolve(WASM_FILE)));
  const runtime = withHostState(ortWebWasm({ files: wasm }));
  return runChecks(t, contractOf({ runtime }, truth));
});

test("Node, WebGPU keeps the contract, with every node on the GPU", (t) => {
  const checks = contractOf({ runtime: ortNodeWebGpu, slack: 4, residentBytes }, truth);
  return runChecks(
    t,
    checks.filter(({ title }) => runsOnWebGpu(title)),
  );
});

test("a graph with a node that would run on the CPU is refused", async () => {
  // ONNX Runtime has no WebGPU kernel for OneHot of int32.
  const graph = graphOf({ y: ir.oneHot(ir.input("ids", [2], "i32"), 3) });
  const backend = { ort, lowering: {}, preallocates: false, session: WEBGPU_SESSION };
  await assert.rejects(createSession(backend, graph), /fallback to CPU EP/);
});
