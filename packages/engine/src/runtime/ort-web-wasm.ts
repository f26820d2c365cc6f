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

let threadsInUse: number | undefined;

/**
 * Sets up the module, which has one heap and one number of threads for good.
 *
 * @returns the number of threads
 */
export function setUpWasm(options: WasmOptions): number {
  const threads = options.threads ?? 1;
  assert(
    threadsInUse === undefined || threadsInUse === threads,
    `the runtime has ${threadsInUse} threads on this page, and cannot have ${threads}`,
  );
  threadsInUse = threads;
  if (typeof options.files === "string") ort.env.wasm.wasmPaths = options.files;
  else if (options.files) ort.env.wasm.wasmBinary = options.files;
  ort.env.wasm.numThreads = threads;
  return threads;
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
