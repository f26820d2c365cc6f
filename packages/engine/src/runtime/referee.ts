// The referee: the one backend whose results are the same bits on every machine, so that any peer
// can check what another computed. It deliberately is slow. docs/spec/07-numerics.md
import { assert } from "@manyhands/base/assert";
import { toHex } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { sha256 } from "@manyhands/base/hash";
import * as ort from "onnxruntime-web/wasm";
import { type Graph, type OpKind, type Tensor, topologicalOrder } from "../ir/tensor.ts";
import { REFEREE_LOWERING } from "../onnx/lower.ts";
import { createSession, type OrtBackend, OrtExecutable } from "./ort-session.ts";
import { setUpWasm } from "./ort-web-wasm.ts";
import type { Executable, Runtime } from "./runtime.ts";

/** SHA-256 of ort-wasm-simd-threaded.wasm of onnxruntime-web 1.30.0. */
export const REFEREE_WASM_SHA256 =
  "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2";

const BACKEND: OrtBackend = {
  ort,
  lowering: REFEREE_LOWERING,
  preallocates: false,
  session: {
    executionProviders: ["wasm"],
    // Every node runs as it is written: alone it gives the bits that it gives in a graph.
    graphOptimizationLevel: "disabled",
    enableMemPattern: false,
    extra: { session: { disable_prepacking: "1", set_denormal_as_zero: "0" } },
  },
};

/** Operations that multiply through a kernel which would pack a constant operand beforehand. */
const PACKING: ReadonlySet<OpKind> = new Set(["matmul"]);

function checkConstants(graph: Graph): void {
  const isConstant = (x: Tensor): boolean => x.op.kind === "constant";
  for (const { op, inputs } of topologicalOrder(graph.outputs.values())) {
    const packs = PACKING.has(op.kind) && inputs.some(isConstant);
    assert(!packs, `the referee takes no constant operand of ${op.kind}: make it an input`);
  }
}

/**
 * @param wasm the runtime's own file, which is checked
 * @throws     InputError if it is another file
 */
export function createReferee(wasm: Uint8Array): Runtime {
  const found = toHex(sha256(wasm));
  if (found !== REFEREE_WASM_SHA256) {
    throw new InputError(`the referee runs ${REFEREE_WASM_SHA256}, not ${found}`, {
      hint: "take ort-wasm-simd-threaded.wasm of onnxruntime-web 1.30.0",
    });
  }
  setUpWasm({ files: wasm, threads: 1 });
  return {
    /** @throws RuntimeError if ONNX Runtime rejects the graph */
    async compile(graph: Graph): Promise<Executable> {
      checkConstants(graph);
      return new OrtExecutable(BACKEND, await createSession(BACKEND, graph), graph);
    },
  };
}
