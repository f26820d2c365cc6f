// A look at a run before taking part: what it is, on what this device would train, what it costs.
import { ManyhandsError } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import { blobsOf, type FrozenRun } from "@manyhands/protocol/run-config";
import type { DeviceSettings } from "../device/settings.ts";
import { fetchRun, type Trouble } from "../host/fetch-run.ts";
import { type JoinUrl, parseJoinUrl } from "../host/join-url.ts";
import { type Backend, chooseBackend } from "./backend.ts";
import type { Offer } from "./device-view.ts";
import type { Home } from "./home.ts";
import { crashesOn } from "./kept-compute.ts";
import { offerOf } from "./offer.ts";
import { isRuntimeKept } from "./runtime-files.ts";
import type { ComputeChoice, RuntimeFiles } from "./thread-messages.ts";

export type Prospect = {
  readonly url: string;
  readonly target: JoinUrl;
  readonly run: FrozenRun;
  readonly backend: Backend | null;
  readonly memoryBytesMax: number;
  readonly offer: Offer;
  /** A visit ended in its first step, without a word, and the person does not know yet. */
  readonly hasCrashed: boolean;
};

export type LookOptions = {
  readonly runtime: RuntimeFiles;
  readonly compute: ComputeChoice;
  readonly settings: DeviceSettings;
};

export async function lookAt(
  url: string,
  home: Home,
  options: LookOptions,
): Promise<Result<Prospect, Trouble>> {
  const target = targetOf(url);
  if (!target.ok) return target;
  const run = await fetchRun(target.value, home.send);
  if (!run.ok) return run;
  return ok({ url, target: target.value, ...(await weigh(run.value, home, options)) });
}

/** Again with other settings: the run stays the same. */
export async function weigh(run: FrozenRun, home: Home, options: LookOptions) {
  const { backends: crashed, isNew } = await crashesOn(home.shelf);
  const backend = chooseBackend(home.facts, run, { choice: options.compute, crashed });
  const file = backend && options.runtime[backend === "gpu" ? "webgpu" : "wasm"];
  const isKept = file !== null && (await isRuntimeKept(file));
  const wanted = blobsOf(run);
  const keptBytes = (await home.blobs.keptBytes(wanted)) + (isKept ? file.bytes : 0);
  // A tab that died while it tried needs less: it gets half.
  const share = backend && crashed.includes(backend) ? 0.5 : 1;
  const allowed = options.settings.memoryBytesMax ?? Number.POSITIVE_INFINITY;
  const memoryBytesMax = Math.min(allowed, home.facts.memoryBytesMax * share);
  const offer = offerOf(run, {
    compute: backend,
    runtimeBytes: file?.bytes ?? 0,
    keptBytes,
    memoryBytesMax,
    storageBytes: await freeStorage(),
  });
  return {
    run,
    backend,
    memoryBytesMax,
    offer: { ...offer, why: offer.why ?? whyCareful(backend, crashed) },
    hasCrashed: isNew,
  };
}

/** What is done otherwise after a crash; null where there was none. */
function whyCareful(backend: Backend | null, crashed: readonly Backend[]): string | null {
  if (backend === null || crashed.length === 0) return null;
  const otherwise = crashed.includes(backend)
    ? "this time it takes at most half of the memory"
    : "this time the processor computes, and not the graphics processor";
  return `An earlier visit ended in its first step, so ${otherwise}.`;
}

function targetOf(url: string): Result<JoinUrl, Trouble> {
  try {
    return ok(parseJoinUrl(url));
  } catch (caught) {
    if (!(caught instanceof ManyhandsError)) throw caught;
    return err({ message: `${caught.message}.`, hint: caught.hint ?? null });
  }
}

async function freeStorage(): Promise<number | null> {
  try {
    const { quota, usage } = await navigator.storage.estimate();
    return quota === undefined || usage === undefined ? null : quota - usage;
  } catch {
    // Pages without a secure context are not told.
    return null;
  }
}
