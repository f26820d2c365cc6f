// Node's backends, measured in the thread that asks. Each is loaded when it is asked for.
import { availableParallelism } from "node:os";
import { withHostState } from "../runtime/host-state.ts";
import type { StatefulRuntime } from "../runtime/runtime.ts";
import { measureSpeed, type Speed } from "./speed.ts";

export type NodeBackend = "cpu" | "webgpu";

async function open(name: NodeBackend): Promise<StatefulRuntime> {
  if (name === "webgpu") return (await import("../runtime/ort-node-webgpu.ts")).ortNodeWebGpu;
  const { ortNode } = await import("../runtime/ort-node.ts");
  return withHostState(ortNode, { threads: availableParallelism() });
}

/** Milliseconds that never run backwards. */
export function nodeClock(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A backend's speed, measured in this thread for about so many milliseconds. */
export function measureHere(name: NodeBackend, durationMs: number): Promise<Speed> {
  return measureSpeed(() => open(name), nodeClock, durationMs);
}
