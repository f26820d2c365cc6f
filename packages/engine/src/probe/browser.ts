// The probe in a browser's page or worker: its backends, localStorage, the memory that a page may
// take. It deliberately loads the runtime's files only when the probe asks for a backend.
import { withHostState } from "../runtime/host-state.ts";
import type { StatefulRuntime } from "../runtime/runtime.ts";
import { pageMemoryBytes } from "./page-memory.ts";
import { type Candidate, isCanary, type ProbeOptions, type ProbeStore } from "./probe.ts";
import { measureSpeed } from "./speed.ts";

/** What is used of a page's globals; a worker lacks some. */
export type PageGlobals = {
  readonly crossOriginIsolated?: boolean;
  readonly localStorage?: {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
  };
  readonly navigator: {
    readonly userAgent: string;
    readonly hardwareConcurrency: number;
    /** GiB, rounded and at most 8; Chromium only. */
    readonly deviceMemory?: number;
    readonly gpu?: unknown;
  };
  readonly performance: { now(): number };
  setTimeout(callback: () => void, ms: number): unknown;
  addEventListener?(name: "pagehide", listener: () => void): void;
  removeEventListener?(name: "pagehide", listener: () => void): void;
};

const THREADS_MAX = 4;

/**
 * Where nothing can be kept (private windows, workers), every probe is the first. A page that is
 * closed or left takes its canaries along; one that crashes says no goodbye.
 */
function pageStore(page: PageGlobals): ProbeStore {
  const { localStorage } = page;
  const fallback = new Map<string, string>();
  if (localStorage === undefined) {
    return {
      get: (key) => fallback.get(key),
      set: (key, value) => fallback.set(key, value),
      delete: (key) => fallback.delete(key),
    };
  }
  const canaries = new Set<string>();
  const release = (): void => {
    for (const key of canaries) localStorage.removeItem(key);
  };
  return {
    get: (key) => localStorage.getItem(key) ?? undefined,
    set: (key, value) => {
      localStorage.setItem(key, value);
      if (!isCanary(key)) return;
      if (canaries.size === 0) page.addEventListener?.("pagehide", release);
      canaries.add(key);
    },
    delete: (key) => {
      localStorage.removeItem(key);
      const wasOurs = canaries.delete(key);
      if (wasOurs && canaries.size === 0) page.removeEventListener?.("pagehide", release);
    },
  };
}

/**
 * @param page  globalThis
 * @param files the folder of the runtime's files. Default: beside its script
 */
export function browserProbe(page: PageGlobals, files?: string): ProbeOptions {
  const { navigator } = page;
  const threads = Math.min(navigator.hardwareConcurrency, THREADS_MAX);
  const threaded = page.crossOriginIsolated === true && threads > 1;
  const options = files === undefined ? {} : { files };
  const now = (): number => page.performance.now();
  const wasm: Candidate = {
    // A page has one WASM runtime, so it is probed with the threads that it would train with.
    name: threaded ? "wasm-threads" : "wasm",
    measure: (durationMs) => {
      const open = async (): Promise<StatefulRuntime> => {
        const { ortWebWasm } = await import("../runtime/ort-web-wasm.ts");
        return withHostState(ortWebWasm({ ...options, threads: threaded ? threads : 1 }));
      };
      return measureSpeed(open, now, durationMs);
    },
  };
  const gpu: Candidate = {
    name: "webgpu",
    measure: (durationMs) => {
      const open = async (): Promise<StatefulRuntime> =>
        (await import("../runtime/ort-web-webgpu.ts")).ortWebWebGpu(options);
      return measureSpeed(open, now, durationMs);
    },
  };
  return {
    // WASM answers within the probe's time on every device; a GPU may take it all.
    candidates: navigator.gpu === undefined ? [wasm] : [wasm, gpu],
    memoryBytesMax: pageMemoryBytes(navigator),
    store: pageStore(page),
    sleep: (ms) => new Promise((resolve) => page.setTimeout(resolve, ms)),
    now,
    device: `${navigator.userAgent} × ${navigator.hardwareConcurrency}`,
  };
}
