// The compute port on a GPU in Node, and whether this device should use it. Until the first round
// is trained a canary stands on the disk: a driver that ends the process is not tried again.

import { parameterCount } from "@manyhands/engine/model/config";
import { nodeProbe } from "@manyhands/engine/probe/node";
import {
  type ProbeReport,
  type ProbeStore,
  probe,
  withCanary,
} from "@manyhands/engine/probe/probe";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { EngineCompute, type EngineComputeOptions } from "../compute/engine-compute.ts";
import { deviceStepper } from "../compute/stepper.ts";
import type { TrainReport, TrainRequest } from "../host/ports.ts";

/** A GPU has hundreds of launches a step: below so many parameters a processor is as fast. */
const PARAMETERS_MIN = 1_000_000;
/** A GPU that is hardly faster is better left to whoever looks at the screen. */
const GAIN_MIN = 1.5;

/** Where this device's measurements and canaries are kept: the worker's folder, or a shared one. */
export async function gpuIsWorthIt(run: FrozenRun, folder: string): Promise<boolean> {
  if (parameterCount(run.model) < PARAMETERS_MIN) return false;
  return isFaster(await probe(nodeProbe(folder)));
}

/** Whether a probe found a GPU that is clearly faster than the processor. */
export function isFaster({ backends: { cpu, webgpu } }: Pick<ProbeReport, "backends">): boolean {
  if (webgpu?.status !== "works") return false;
  return cpu?.status !== "works" || webgpu.flopsPerSecond >= GAIN_MIN * cpu.flopsPerSecond;
}

type Options = Omit<EngineComputeOptions, "numerics" | "runtime" | "makeStepper" | "threads">;

class GpuCompute extends EngineCompute {
  readonly #store: ProbeStore;
  #isTried = false;

  constructor(options: EngineComputeOptions, store: ProbeStore) {
    super(options);
    this.#store = store;
  }

  override prepare(run: FrozenRun, files: readonly Uint8Array[]): Promise<void> {
    return withCanary(this.#store, "webgpu", () => super.prepare(run, files));
  }

  override async train(request: TrainRequest): Promise<TrainReport> {
    if (this.#isTried) return super.train(request);
    const report = await withCanary(this.#store, "webgpu", () => super.train(request));
    this.#isTried = true;
    return report;
  }
}

/** @param folder as for gpuIsWorthIt: a canary that stands there is what the probe will find */
export async function gpuCompute(options: Options, folder: string): Promise<EngineCompute> {
  const { ortNodeWebGpu: runtime } = await import("@manyhands/engine/runtime/ort-node-webgpu");
  const makeStepper = deviceStepper(runtime);
  const { store } = nodeProbe(folder);
  return new GpuCompute(
    { ...options, numerics: "ort-webgpu", threads: 1, runtime, makeStepper },
    store,
  );
}
