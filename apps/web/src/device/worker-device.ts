// The page's device: the worker package's, on a thread of its own, with the runtime's files as the
// build named them.

import { connectDevice } from "@manyhands/worker/browser/connect-device";
import type { Device } from "@manyhands/worker/browser/device-view";
import type { ComputeChoice } from "@manyhands/worker/browser/thread-messages";
import gpuScriptUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import gpuBinaryUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import wasmScriptUrl from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasmBinaryUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { RUNTIME_BYTES } from "./runtime-bytes.ts";

/** `?compute=gpu` or `?compute=wasm` in the link: to find out what a device cannot do. */
function askedCompute(): ComputeChoice {
  const asked = new URLSearchParams(location.search).get("compute");
  return asked === "gpu" || asked === "wasm" ? asked : "auto";
}

export function makeDevice(): Device {
  return connectDevice({
    compute: askedCompute(),
    thread: () =>
      new Worker(new URL("./device.worker.ts", import.meta.url), {
        type: "module",
        name: "manyhands-device",
      }),
    runtime: {
      wasm: { script: wasmScriptUrl, binary: wasmBinaryUrl, bytes: RUNTIME_BYTES.wasm },
      webgpu: { script: gpuScriptUrl, binary: gpuBinaryUrl, bytes: RUNTIME_BYTES.webgpu },
    },
  });
}
