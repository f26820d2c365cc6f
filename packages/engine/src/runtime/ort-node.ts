// ONNX Runtime on the CPU, in Node.
// It deliberately offers no GPU: that is ort-node-webgpu.ts.
import ort from "onnxruntime-node";
import type { Graph } from "../ir/tensor.ts";
import { startNodeThread } from "./node-thread.ts";
import { createSession, type OrtBackend, OrtExecutable } from "./ort-session.ts";
import type { CompileOptions, Executable, Runtime } from "./runtime.ts";

const BACKEND: OrtBackend = {
  ort,
  // Here a packed matrix is unpacked as quickly by a table, and then multiplied by a faster kernel.
  lowering: { packedProducts: false },
  preallocates: true,
  session: {
    executionProviders: ["cpu"],
    // Memory patterns cost a third of the peak memory and gain nothing measurable here.
    enableMemPattern: false,
    // Not session.set_denormal_as_zero, which makes masked softmax three times as fast: it would
    // flush denormals in JavaScript's own arithmetic on this thread too, for good, and so change
    // shared bits.
  },
};

/** In this thread, or in several that share operations; results: docs/spec/07-numerics.md §7.5. */
export const ortNode: Runtime = {
  startThread: startNodeThread,

  /** @throws RuntimeError if ONNX Runtime rejects the graph */
  async compile(graph: Graph, options: CompileOptions = {}): Promise<Executable> {
    const own = { intraOpNumThreads: options.threads ?? 1 };
    return new OrtExecutable(BACKEND, await createSession(BACKEND, graph, own), graph);
  },
};
