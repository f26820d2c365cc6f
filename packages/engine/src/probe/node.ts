// The probe in Node: its backends, a store in a folder, the machine's memory.
// It deliberately opens a backend only when the probe asks for it.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { measureHere, type NodeBackend, nodeClock } from "./node-backends.ts";
import { type Candidate, isCanary, type ProbeOptions, type ProbeStore } from "./probe.ts";
import type { Speed } from "./speed.ts";

/** Canaries of this process. One that ends in order takes them along: it did not crash. */
const canaries = new Set<string>();
/** How people and systems end a process in order. What nobody can hear, SIGKILL, stays a crash. */
const ENDINGS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function releaseCanaries(): void {
  for (const path of canaries) rmSync(path, { force: true });
}

/** Ctrl-C is no crash. Where nobody else listens, the signal then does what it always does. */
function endInOrder(signal: NodeJS.Signals): void {
  releaseCanaries();
  stopWatching();
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function watchEndings(): void {
  process.once("exit", releaseCanaries);
  for (const signal of ENDINGS) process.on(signal, endInOrder);
}

function stopWatching(): void {
  process.off("exit", releaseCanaries);
  for (const signal of ENDINGS) process.off(signal, endInOrder);
}

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
      if (!isCanary(key)) return;
      if (canaries.size === 0) watchEndings();
      canaries.add(pathOf(key));
    },
    delete: (key) => {
      rmSync(pathOf(key), { force: true });
      if (canaries.delete(pathOf(key)) && canaries.size === 0) stopWatching();
    },
  };
}

const THREAD = new URL("./node-thread.ts", import.meta.url);

/**
 * In a thread, because ONNX Runtime would block this one for longer than a probe may take. A
 * bundled program has no file for the thread, and waits.
 */
async function measureInThread(name: NodeBackend, durationMs: number): Promise<Speed> {
  if (!existsSync(THREAD)) return await measureHere(name, durationMs);
  const worker = new Worker(THREAD, { workerData: { name, durationMs } });
  // A process that has nothing else to do need not wait for a slow backend.
  worker.unref();
  return await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

function candidateOf(name: NodeBackend): Candidate {
  return { name, measure: (durationMs) => measureInThread(name, durationMs) };
}

/** Half of what is free now: the machine belongs to somebody who is using it. */
const MEMORY_SHARE = 0.5;

/** @param folder where results are remembered, such as the worker's */
export function nodeProbe(folder: string): ProbeOptions {
  return {
    candidates: [candidateOf("cpu"), candidateOf("webgpu")],
    memoryBytesMax: Math.floor(process.availableMemory() * MEMORY_SHARE),
    store: folderStore(folder),
    sleep: (ms) => sleep(ms, undefined, { ref: false }),
    now: nodeClock,
    device: `${process.version} ${process.arch} ${cpus()[0]?.model} × ${availableParallelism()}`,
  };
}
