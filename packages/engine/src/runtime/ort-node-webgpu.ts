// WebGPU in Node: onnxruntime-node's own GPU kernels, on Vulkan, Metal or Direct3D 12.
import ort from "onnxruntime-node";
import { ortWebGpu } from "./ort-webgpu.ts";
import type { StatefulRuntime } from "./runtime.ts";

/** Its graphs are refused with a RuntimeError where there is no adapter. */
export const ortNodeWebGpu: StatefulRuntime = ortWebGpu(ort);
