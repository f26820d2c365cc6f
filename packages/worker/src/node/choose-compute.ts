// On what a Node worker trains: the processor, or the GPU where one is clearly faster. Asks the
// coordinator for the run first: small models are no work for a GPU. Not the measuring itself.
import type { HttpSend } from "@manyhands/net/http";
import { fetchRun } from "../host/fetch-run.ts";
import type { JoinUrl } from "../host/join-url.ts";
import type { ComputePort } from "../host/ports.ts";
import { gpuCompute, gpuIsWorthIt } from "./gpu-compute.ts";
import { OrtCompute, type OrtComputeOptions } from "./ort-compute.ts";

export const COMPUTE_CHOICES = ["auto", "cpu", "gpu"] as const;
export type ComputeChoice = (typeof COMPUTE_CHOICES)[number];

export type ChooseCompute = {
  readonly choice: ComputeChoice;
  readonly target: JoinUrl;
  readonly send: HttpSend;
  /** Where what was measured of this device is kept. */
  readonly folder: string;
  readonly compute: OrtComputeOptions;
};

export async function chooseCompute(options: ChooseCompute): Promise<ComputePort> {
  const { choice, folder, compute } = options;
  const isGpu = choice === "auto" ? await isGpuBetter(options) : choice === "gpu";
  if (!isGpu) return new OrtCompute(compute);
  if (choice === "auto") compute.onNotice?.("Training on the GPU; --compute cpu leaves it alone.");
  // Between the steps of a GPU the event loop has its turns anyway.
  const { nowMicros, memoryBytesMax, onNotice } = compute;
  return gpuCompute({ nowMicros, memoryBytesMax, onNotice, pace: async () => undefined }, folder);
}

/** A coordinator that is away for now is joined on the processor. */
async function isGpuBetter({ target, send, folder }: ChooseCompute): Promise<boolean> {
  const run = await fetchRun(target, send);
  return run.ok && (await gpuIsWorthIt(run.value, folder));
}
