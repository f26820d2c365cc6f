// What can this device compute with, how fast, and in how much memory? Asked once, remembered.
// It deliberately touches no platform: candidates, clock and store are given.
import { defined } from "@manyhands/base/assert";
import { messageOf } from "@manyhands/base/errors";
import type { Speed } from "./speed.ts";

export type BackendName = "cpu" | "webgpu" | "wasm" | "wasm-threads";

export type Candidate = {
  readonly name: BackendName;
  /** Loads the backend and times it for so long; rejects where this device has none. */
  readonly measure: (durationMs: number) => Promise<Speed>;
};

/**
 * What is known of a backend. "crashed": the process ended while it was tried, so it is not tried
 * again unless asked for. "untried": the time was over; the next probe knows more.
 */
export type BackendReport =
  | { readonly status: "works"; readonly flopsPerSecond: number; readonly startMs: number }
  | { readonly status: "fails"; readonly reason: string }
  | { readonly status: "crashed" }
  | { readonly status: "untried" };

export type ProbeReport = {
  readonly backends: Readonly<Partial<Record<BackendName, BackendReport>>>;
  /** The fastest backend that works, if there is one. */
  readonly best: BackendName | undefined;
  /** What training may use in all. */
  readonly memoryBytesMax: number;
};

/** Short texts that outlive the process. Writing is done when the call returns. */
export type ProbeStore = {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  delete(key: string): void;
};

export type ProbeOptions = {
  /** In the order in which they are tried. */
  readonly candidates: readonly Candidate[];
  readonly memoryBytesMax: number;
  readonly store: ProbeStore;
  /** Milliseconds that only grow. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** What must be equal for a remembered result to hold: versions, processor, adapter. */
  readonly device: string;
  /** When the probe answers; what is still being tried is remembered later. Default 900. */
  readonly budgetMs?: number;
  /** Forgets what is remembered, canaries too. Default false. */
  readonly afresh?: boolean;
};

const BUDGET_MS = 900;
const MEASURE_MS = 150;
/** With less left no backend is begun: it would not answer in time, yet may block a page. */
const START_MS = 300;

/** Backends are tried one after the other, since they would slow each other down. */
export async function probe(options: ProbeOptions): Promise<ProbeReport> {
  const { candidates, store, now, sleep, afresh = false } = options;
  if (afresh) {
    for (const { name } of candidates) {
      store.delete(canaryOf(name));
      store.delete(reportOf(name));
    }
  }
  const end = now() + (options.budgetMs ?? BUDGET_MS);
  const backends: Partial<Record<BackendName, BackendReport>> = {};
  for (const candidate of candidates) {
    const { name } = candidate;
    const known = knownReport(options, name);
    const rest = end - now();
    if (known) backends[name] = known;
    else if (rest < START_MS) backends[name] = UNTRIED;
    else {
      const late = sleep(rest).then(() => UNTRIED);
      backends[name] = await Promise.race([tryBackend(candidate, options), late]);
    }
  }
  return { backends, best: fastest(backends), memoryBytesMax: options.memoryBytesMax };
}

const UNTRIED: BackendReport = { status: "untried" };

function reportOf(name: BackendName): string {
  return `manyhands.probe.${name}`;
}

/** How often this process is trying a backend right now: those canaries are its own. */
const underWay = new Map<BackendName, number>();

const CANARY = "manyhands.canary.";

function canaryOf(name: BackendName): string {
  return `${CANARY}${name}`;
}

/** Whether a store's key is a canary's. */
export function isCanary(key: string): boolean {
  return key.startsWith(CANARY);
}

/**
 * Runs work that may end the process. If it does, the canary stays, and every later probe calls the
 * backend "crashed". Stores take the canaries of a process along that is told to end. For trainers
 * too: wrap the first step.
 */
export async function withCanary<T>(
  store: ProbeStore,
  name: BackendName,
  work: () => Promise<T>,
): Promise<T> {
  store.set(canaryOf(name), "being tried");
  underWay.set(name, (underWay.get(name) ?? 0) + 1);
  try {
    return await work();
  } finally {
    underWay.set(name, (underWay.get(name) ?? 1) - 1);
    store.delete(canaryOf(name));
  }
}

async function tryBackend(candidate: Candidate, options: ProbeOptions): Promise<BackendReport> {
  const { store, device } = options;
  const { name } = candidate;
  const report = await withCanary(store, name, () => examine(candidate));
  store.set(reportOf(name), JSON.stringify({ device, report }));
  return report;
}

async function examine(candidate: Candidate): Promise<BackendReport> {
  try {
    const { flopsPerSecond, startMs } = await candidate.measure(MEASURE_MS);
    return {
      status: "works",
      flopsPerSecond: Math.round(flopsPerSecond),
      startMs: Math.round(startMs),
    };
  } catch (caught) {
    return { status: "fails", reason: messageOf(caught) };
  }
}

function fastest(
  backends: Readonly<Partial<Record<BackendName, BackendReport>>>,
): BackendName | undefined {
  let best: { readonly name: BackendName; readonly speed: number } | undefined;
  for (const name of Object.keys(backends) as BackendName[]) {
    const report = defined(backends[name], name);
    if (report.status !== "works") continue;
    if (best === undefined || report.flopsPerSecond > best.speed) {
      best = { name, speed: report.flopsPerSecond };
    }
  }
  return best?.name;
}

/** What is kept of a backend on this device; nothing if the text is damaged or another device's. */
function knownReport(
  { store, device }: ProbeOptions,
  name: BackendName,
): BackendReport | undefined {
  if ((underWay.get(name) ?? 0) > 0) return UNTRIED;
  if (store.get(canaryOf(name)) !== undefined) return { status: "crashed" };
  try {
    const kept: unknown = JSON.parse(store.get(reportOf(name)) ?? "null");
    if (typeof kept !== "object" || kept === null) return undefined;
    const { device: of, report } = kept as Record<string, unknown>;
    return of === device && isReport(report) ? report : undefined;
  } catch {
    return undefined;
  }
}

function isReport(value: unknown): value is BackendReport {
  if (typeof value !== "object" || value === null) return false;
  const { status, flopsPerSecond, startMs, reason } = value as Record<string, unknown>;
  if (status === "fails") return typeof reason === "string";
  return status === "works" && typeof flopsPerSecond === "number" && typeof startMs === "number";
}
