// WebGPU in a browser: onnxruntime-web with GPU kernels.
import * as ort from "onnxruntime-web/webgpu";
import { type OrtWebGpuOptions, ortWebGpu } from "./ort-webgpu.ts";
import type { StatefulRuntime } from "./runtime.ts";

export type WebGpuOptions = OrtWebGpuOptions & {
  /** The runtime's WASM file, or the folder of its files. Default: beside its script. */
  readonly files?: Uint8Array | string;
  /** The address of its script, for bundlers that hide it. */
  readonly script?: string;
};

/** Once per page: the runtime's module keeps the first options. */
export function ortWebWebGpu(options: WebGpuOptions = {}): StatefulRuntime {
  if (typeof options.files === "string") ort.env.wasm.wasmPaths = options.files;
  else if (options.files) ort.env.wasm.wasmBinary = options.files;
  if (options.script !== undefined) ort.env.wasm.wasmPaths = { mjs: options.script };
  ort.env.wasm.numThreads = 1;
  return ortWebGpu(ort, options);
}
