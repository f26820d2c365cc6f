// The probe in Node: its backends, a store in a folder, the machine's memory.
// It deliberately opens a backend only when the probe asks for it.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withHostState } from "../runtime/host-state.ts";
import type { Candidate, ProbeOptions, ProbeStore } from "./probe.ts";

/** One small file per key. A crash right after `set` must find it: it is flushed to the disk. */
function folderStore(folder: string): ProbeStore {
  const pathOf = (key: string): string => join(folder, key);
  return {
    get: (key) => {
      try {
        return readFileSync(pathOf(key), "utf8");
      } catch {
        return undefined;
      }
    },
    set: (key, value) => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(pathOf(key), value, { flush: true });
    },
    delete: (key) => rmSync(pathOf(key), { force: true }),
  };
}

const CANDIDATES: readonly Candidate[] = [
  {
    name: "cpu",
    open: async () => {
      const { ortNode } = await import("../runtime/ort-node.ts");
      return withHostState(ortNode, { threads: availableParallelism() });
    },
  },
  {
    name: "webgpu",
    open: async () => (await import("../runtime/ort-node-webgpu.ts")).ortNodeWebGpu,
  },
];

/** Half of what is free now: the machine belongs to somebody who is using it. */
const MEMORY_SHARE = 0.5;

/** @param folder where results are remembered, such as the worker's */
export function nodeProbe(folder: string): ProbeOptions {
  return {
    candidates: CANDIDATES,
    memoryBytesMax: Math.floor(process.availableMemory() * MEMORY_SHARE),
    store: folderStore(folder),
    sleep: (ms) => sleep(ms, undefined, { ref: false }),
    now: () => Number(process.hrtime.bigint()) / 1e6,
    device: `${process.version} ${process.arch} ${cpus()[0]?.model} × ${availableParallelism()}`,
  };
}
