// The compute port on ONNX Runtime's CPU backend in Node. Not its logic: compute/engine-compute.ts.
import { setImmediate } from "node:timers/promises";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { EngineCompute } from "../compute/engine-compute.ts";
import { hostStepper } from "../compute/stepper.ts";

export type OrtComputeOptions = {
  /** Threads inside one operation. */
  readonly threads: number;
  /** Microseconds that never run backwards. */
  readonly nowMicros: () => number;
  /** How much memory the process may take. Unknown by default. */
  readonly memoryBytesMax?: number | undefined;
  /** A sentence that a person may want to read. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
};

export class OrtCompute extends EngineCompute {
  constructor(options: OrtComputeOptions) {
    super({
      ...options,
      numerics: "ort-cpu",
      runtime: ortNode,
      makeStepper: hostStepper(ortNode),
      pace: async () => {
        await setImmediate();
      },
    });
  }
}
