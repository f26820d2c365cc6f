// What a page runs: the contract on one of the browser's backends, or the referee.
// It deliberately decides nothing: the test in Node says what to run and judges the results.
import { browserProbe, type PageGlobals } from "@manyhands/engine/probe/browser";
import { type ProbeReport, probe } from "@manyhands/engine/probe/probe";
import { withHostState } from "@manyhands/engine/runtime/host-state";
import { REFEREE_RUNS, refereeHash } from "@manyhands/engine/runtime/referee.contract";
import type { StatefulRuntime } from "@manyhands/engine/runtime/runtime";
import { contractOf, type Truth } from "@manyhands/engine/runtime/runtime.contract";

export type BrowserBackend = "wasm" | "wasm threads" | "webgpu";

export type CheckResult = { readonly title: string; readonly error?: string };

export type PageApi = {
  readonly isolated: boolean;
  /** Runs the checks with these titles, or all. */
  runContract(backend: BrowserBackend, titles?: readonly string[]): Promise<CheckResult[]>;
  /** A whole probe, however long it takes. */
  probe(): Promise<ProbeReport>;
  refereeHashes(): Promise<Record<string, string>>;
};

const counters = globalThis as unknown as { heldBytes: () => number };

async function runtimeOf(backend: BrowserBackend): Promise<StatefulRuntime> {
  if (backend === "webgpu") {
    const { ortWebWebGpu } = await import("@manyhands/engine/runtime/ort-web-webgpu");
    return ortWebWebGpu();
  }
  const { ortWebWasm } = await import("@manyhands/engine/runtime/ort-web-wasm");
  return withHostState(ortWebWasm({ threads: backend === "wasm" ? 1 : 2 }));
}

async function fetchTruth(): Promise<Truth> {
  const names = ["operations", "models", "trainings"];
  const files = names.map(async (name) => {
    const response = await fetch(`/vectors/${name}.json`);
    return [name, await response.json()] as const;
  });
  return Object.fromEntries(await Promise.all(files)) as Truth;
}

const api: PageApi = {
  isolated: Reflect.get(globalThis, "crossOriginIsolated") === true,

  async runContract(backend, titles) {
    const runtime = await runtimeOf(backend);
    const { heldBytes } = counters;
    // Each new trainer's shaders are compiled anew, which takes software half a minute.
    const gpu = { runtime, heldBytes, slack: 4, memoryCycles: 2 };
    const subject = backend === "webgpu" ? gpu : { runtime, heldBytes };
    const results: CheckResult[] = [];
    for (const { title, run } of contractOf(subject, await fetchTruth())) {
      if (titles && !titles.includes(title)) continue;
      try {
        await run();
        results.push({ title });
      } catch (caught) {
        results.push({ title, error: String(caught) });
      }
    }
    return results;
  },

  probe() {
    const options = browserProbe(globalThis as unknown as PageGlobals);
    return probe({ ...options, sleep: () => new Promise(() => undefined), budgetMs: Infinity });
  },

  async refereeHashes() {
    const { createReferee } = await import("@manyhands/engine/runtime/referee");
    const response = await fetch("/ort/ort-wasm-simd-threaded.wasm");
    const referee = createReferee(new Uint8Array(await response.arrayBuffer()));
    const hashes: Record<string, string> = {};
    for (const run of REFEREE_RUNS) hashes[run.name] = await refereeHash(referee, run);
    return hashes;
  },
};

(globalThis as unknown as { api: PageApi }).api = api;
