// ONNX Runtime on the CPU as WebAssembly: in a browser's page or worker, or in Node.
// Threads need a cross-origin isolated page (or Node); one thread works everywhere.
import { assert } from "@manyhands/base/assert";
import * as ort from "onnxruntime-web/wasm";
import type { Graph } from "../ir/tensor.ts";
import { createSession, type OrtBackend, OrtExecutable } from "./ort-session.ts";
import type { Executable, Runtime } from "./runtime.ts";

export type WasmOptions = {
  /** The runtime's WASM file, or the folder of its files. Default: beside its script. */
  readonly files?: Uint8Array | string;
  /** The address of its script, for bundlers that hide it: threads load it as a module. */
  readonly script?: string;
  /** Threads of all graphs together. Default 1. */
  readonly threads?: number;
};

const BACKEND: OrtBackend = {
  ort,
  // A heap of WASM ends at 4 GiB and never shrinks: a third less of it counts.
  session: { executionProviders: ["wasm"], enableMemPattern: false },
  lowering: {},
  preallocates: false,
};

let setUp: WasmOptions | undefined;

/** Sets up the module, which has one file, one heap and one number of threads for good. */
export function setUpWasm(options: WasmOptions): void {
  const { files, script, threads = 1 } = options;
  if (setUp) {
    const before = [setUp.files, setUp.script, setUp.threads ?? 1];
    const same = [files, script, threads].every((value, index) => value === before[index]);
    assert(same, "this page has set up its WASM runtime with other files or threads before");
  }
  setUp = options;
  if (typeof files === "string") ort.env.wasm.wasmPaths = files;
  else if (files) ort.env.wasm.wasmBinary = files;
  if (script !== undefined) ort.env.wasm.wasmPaths = { mjs: script };
  ort.env.wasm.numThreads = threads;
}

/** The runtime; its `threads` hold for every graph, and CompileOptions.threads has no effect. */
export function ortWebWasm(options: WasmOptions = {}): Runtime {
  setUpWasm(options);
  return {
    /** @throws RuntimeError if ONNX Runtime rejects the graph */
    async compile(graph: Graph): Promise<Executable> {
      return new OrtExecutable(BACKEND, await createSession(BACKEND, graph), graph);
    },
  };
}
