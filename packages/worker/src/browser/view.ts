// What the page shows, from what the device is: one phase, one sentence. A pure function, so that
// every state of it can be tried without a browser.
import type { CoreStatus } from "../core/status.ts";
import type { EndReason, WorkerEnd } from "../core/types.ts";
import type { Standing } from "../device/governor.ts";
import type { Trouble } from "../host/fetch-run.ts";
import { type DevicePhase, type DeviceView, IDLE_VIEW, type Offer } from "./device-view.ts";
import type { Wish } from "./device-work.ts";

export type WorkFacts = {
  readonly wish: Wish;
  readonly standing: Standing | null;
  readonly status: CoreStatus | null;
  readonly workerId: string | null;
  readonly loading: DeviceView["loading"];
  readonly updatesBefore: number | null;
  readonly end: WorkerEnd | null;
  readonly trouble: Trouble | null;
  readonly gpu: DeviceView["gpu"];
  readonly isOver: boolean;
};

export type ViewFacts = {
  readonly runId: string | null;
  readonly offer: Offer | null;
  readonly isElsewhere: boolean;
  /** Why a look did not succeed. */
  readonly lookTrouble: Trouble | null;
  readonly work: WorkFacts | null;
  /** By the keys that this browser has already. */
  readonly workerId: string | null;
  readonly bytesUsed: number;
  readonly firstUpdateMs: number | null;
  readonly notice: string | null;
};

export function viewOf(facts: ViewFacts): DeviceView {
  const { runId, offer, work, bytesUsed, firstUpdateMs } = facts;
  const { phase, now } = phaseOf(facts);
  const base = { ...IDLE_VIEW, phase, now, runId, offer, firstUpdateMs };
  const problem = problemOf(facts);
  if (!work) return { ...base, problem, workerId: facts.workerId };
  const { status, wish, loading } = work;
  const workerId = work.workerId ?? facts.workerId;
  const isTraining = status?.doing === "training" && phase === "training";
  return {
    ...base,
    problem,
    workerId,
    loading: phase === "loading" ? loading : null,
    step: isTraining ? { at: status.innerStep, of: status.innerSteps } : null,
    isFinishing: wish === "finish" && !work.isOver,
    slowed: phase === "training" ? slowedBy(work) : null,
    gpu: work.gpu,
    tokens: status?.tokensGiven ?? 0,
    updates: status?.acceptedUpdates ?? 0,
    tokensPerSecond: phase === "training" ? (status?.tokensPerSecond ?? 0) : 0,
    loss: status?.loss ?? null,
    bytesUsed,
  };
}

function slowedBy({ standing }: WorkFacts): string | null {
  return standing?.verdict.kind === "run" ? standing.verdict.slowed : null;
}

type Shown = { readonly phase: DevicePhase; readonly now: string };

function phaseOf({ work, offer, isElsewhere, lookTrouble }: ViewFacts): Shown {
  if (isElsewhere) {
    const now = "Another tab of this browser takes part already. Close it to go on here.";
    return { phase: "elsewhere", now };
  }
  if (work) return workPhase(work);
  if (offer) return { phase: "ready", now: "Ready when you are." };
  if (lookTrouble) return { phase: "looking", now: lookTrouble.message };
  return { phase: "looking", now: "Looking at what this device can do." };
}

function workPhase({
  wish,
  standing,
  status,
  end,
  isOver,
  updatesBefore,
  trouble,
}: WorkFacts): Shown {
  if (isOver) return { phase: "ended", now: endWords(end, status) };
  if (wish === "leave") return { phase: "training", now: "Leaving: what is done is still sent." };
  if (wish === "pause") {
    return { phase: "paused", now: trouble ? "Paused after a problem." : "Paused by you." };
  }
  const verdict = standing?.verdict;
  if (verdict?.kind === "rest") return { phase: "resting", now: verdict.sentence };
  const now = status?.phase ?? "Loading what training needs.";
  const phase = updatesBefore === null ? "loading" : "training";
  return { phase, now: wish === "finish" ? `${now} Then it stops.` : now };
}

function endWords(end: WorkerEnd | null, status: CoreStatus | null): string {
  if (end && end.reason !== "stopped") return end.sentence;
  const updates = status?.acceptedUpdates ?? 0;
  if (updates === 0) return "Stopped, as you asked.";
  return `Stopped, as you asked, after ${updates} accepted update${updates === 1 ? "" : "s"}.`;
}

const RELOAD = "Reload the page to get the version that the coordinator serves.";
/** What to do about an end; an end without an entry is no problem. */
const HINTS: { readonly [reason in EndReason]?: string } = {
  "protocol-mismatch": RELOAD,
  "kernel-mismatch": RELOAD,
  "unknown-run": "Ask for the run’s current join link.",
  token: "Ask for the run’s current join link, and open it as a whole.",
  refused: RELOAD,
  replaced: "These keys are used on another device too: give each device keys of its own.",
  diverged: "Reload the page: it begins again from the newest state.",
  unsupported: "Another device, with more memory or a newer browser, may train it.",
  "compute-failed": "Reload the page; if it happens again, try another browser.",
  "storage-failed": "If the device is full, free some space; then reload the page.",
};

function problemOf({ work, lookTrouble, notice }: ViewFacts): DeviceView["problem"] {
  if (work?.trouble) return work.trouble;
  const hint = work?.end ? HINTS[work.end.reason] : undefined;
  if (work?.end && hint !== undefined) return { message: work.end.sentence, hint };
  if (lookTrouble) return lookTrouble;
  return notice === null ? null : { message: notice, hint: null };
}
