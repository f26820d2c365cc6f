// Which of the engine's browser backends trains here, and the compute port over it. The choice uses
// what can be asked without loading anything: a runtime is 14 to 27 MB.
// Not the probe of speeds: that would load both.

import { parameterCount } from "@manyhands/engine/model/config";
import { browserProbe, type PageGlobals } from "@manyhands/engine/probe/browser";
import type { Runtime, StatefulRuntime } from "@manyhands/engine/runtime/runtime";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { EngineCompute, type EngineComputeOptions } from "../compute/engine-compute.ts";
import type { HeldGpu, Trial } from "../compute/held-gpu.ts";
import { deviceStepper, hostStepper } from "../compute/stepper.ts";
import type { ComputePort } from "../host/ports.ts";
import { gentleStepper, pageGpu } from "./gentle-stepper.ts";
import { loadRuntime } from "./runtime-files.ts";
import type { ComputeChoice, RuntimeFiles } from "./thread-messages.ts";

export type Backend = "gpu" | "wasm";

/** A GPU has hundreds of launches a step: below so many parameters a processor is as fast. */
const GPU_PARAMETERS_MIN = 1_000_000;

/** Of hundreds in a step: the page's own drawing gets its turn between two submissions. */
const KERNELS_PER_SUBMISSION = 4;

export type DeviceFacts = {
  readonly hasWasm: boolean;
  /** "software": a processor that plays a GPU. */
  readonly gpu: "hardware" | "software" | "none";
  readonly threads: number;
  /** What a page may take here, as far as can be known. */
  readonly memoryBytesMax: number;
};

type GpuAdapter = {
  readonly isFallbackAdapter?: boolean;
  readonly info?: { readonly isFallbackAdapter?: boolean; readonly vendor?: string };
};
type Gpu = { requestAdapter(): Promise<GpuAdapter | null> };

/** Asks the thread's globals. Loads nothing. */
export async function deviceFacts(threadsMax: number): Promise<DeviceFacts> {
  const { memoryBytesMax } = browserProbe(globalThis as unknown as PageGlobals);
  const cores = Math.min(navigator.hardwareConcurrency, threadsMax);
  return {
    hasWasm: typeof WebAssembly === "object",
    gpu: await gpuKind(),
    // Threads need shared memory, which only isolated pages have.
    threads: globalThis.crossOriginIsolated ? Math.max(1, cores) : 1,
    memoryBytesMax,
  };
}

async function gpuKind(): Promise<DeviceFacts["gpu"]> {
  const gpu: unknown = Reflect.get(navigator, "gpu");
  if (typeof gpu !== "object" || gpu === null) return "none";
  try {
    const adapter = await (gpu as Gpu).requestAdapter();
    if (!adapter) return "none";
    const isSoftware = adapter.isFallbackAdapter ?? adapter.info?.isFallbackAdapter ?? false;
    // These drivers give wrong numbers or die: playcanvas #8874.
    if (adapter.info?.vendor === "img-tec") return "none";
    return isSoftware || adapter.info?.vendor === "google" ? "software" : "hardware";
  } catch {
    return "none";
  }
}

/** @param crashed backends during whose first step this tab ended last time */
export function chooseBackend(
  facts: DeviceFacts,
  { model }: Pick<FrozenRun, "model">,
  { choice, crashed }: { readonly choice: ComputeChoice; readonly crashed: readonly Backend[] },
): Backend | null {
  if (!facts.hasWasm) return null;
  if (choice !== "auto") return choice === "gpu" && facts.gpu === "none" ? "wasm" : choice;
  const isWorthIt = parameterCount(model) >= GPU_PARAMETERS_MIN;
  const useGpu = facts.gpu === "hardware" && isWorthIt && !crashed.includes("gpu");
  return useGpu ? "gpu" : "wasm";
}

export type OpenBackend = {
  readonly runtime: RuntimeFiles;
  readonly threads: number;
  readonly onBytes: (done: number, total: number) => void;
  readonly onFetched: (bytes: number) => void;
  /** Whether the GPU draws too, so that no submission may hold it for long. */
  readonly tries: boolean;
  /** A GPU was tried: how long its longest submission took. */
  readonly onTrial: (trial: Trial) => void;
} & Pick<EngineComputeOptions, "pace" | "nowMicros" | "memoryBytesMax" | "onNotice">;

/** Set up once in a thread's life: who takes part again, or in another run, takes the same. */
const loaded: { wasm?: Promise<Runtime>; gpu?: Promise<StatefulRuntime> } = {};

async function loadWasm(options: OpenBackend): Promise<Runtime> {
  const files = await runtimeBytes("wasm", options);
  const { ortWebWasm } = await import("@manyhands/engine/runtime/ort-web-wasm");
  return ortWebWasm({ files, script: options.runtime.wasm.script, threads: options.threads });
}

async function loadGpu(options: OpenBackend): Promise<StatefulRuntime> {
  const files = await runtimeBytes("webgpu", options);
  const { ortWebWebGpu } = await import("@manyhands/engine/runtime/ort-web-webgpu");
  const { script } = options.runtime.webgpu;
  return ortWebWebGpu({ files, script, kernelsPerSubmission: KERNELS_PER_SUBMISSION });
}

async function runtimeBytes(
  name: keyof RuntimeFiles,
  { runtime, onBytes, onFetched }: OpenBackend,
): Promise<Uint8Array> {
  const { bytes, wasFetched } = await loadRuntime(runtime[name], onBytes);
  if (wasFetched) onFetched(runtime[name].bytes);
  return bytes;
}

/** What did not come is asked for again the next time. */
function forgottenIfFailed<R>(backend: Backend, loading: Promise<R>): Promise<R> {
  return loading.catch((caught: unknown) => {
    delete loaded[backend];
    throw caught;
  });
}

/** Loads the runtime. @throws NetworkError, or the runtime's error where it does not start */
export async function openBackend(backend: Backend, options: OpenBackend): Promise<ComputePort> {
  const { pace, nowMicros, memoryBytesMax, onNotice, tries, onTrial, threads } = options;
  const common = { pace, nowMicros, memoryBytesMax, onNotice };
  if (backend === "gpu") {
    loaded.gpu ??= loadGpu(options);
    const runtime = await forgottenIfFailed("gpu", loaded.gpu);
    const gpu: HeldGpu | undefined = tries ? pageGpu(onTrial) : undefined;
    const makeStepper = gpu ? gentleStepper(runtime, gpu) : deviceStepper(runtime);
    const numerics = "ort-webgpu";
    return new EngineCompute({ ...common, numerics, threads: 1, runtime, makeStepper, gpu });
  }
  loaded.wasm ??= loadWasm(options);
  const runtime = await forgottenIfFailed("wasm", loaded.wasm);
  const makeStepper = hostStepper(runtime);
  return new EngineCompute({ ...common, numerics: "ort-wasm", threads, runtime, makeStepper });
}
