// What the live view shows: the run's status and what only the process around it knows. Pure.
import type { RunStatus, WorkerStatus } from "@manyhands/coordinator/status";
import type { Phase } from "@manyhands/protocol/state";

export type RunView = {
  readonly status: RunStatus;
  readonly elapsedMs: number;
  /** The last line: what the person should know now. */
  readonly notice: string;
  /** What happened to processes on this machine, by worker name: restarting, ended … */
  readonly localStates: ReadonlyMap<string, string>;
};

/** One word for a row of the list of workers. */
export function workerWord(
  worker: WorkerStatus,
  { phase, local }: { readonly phase: Phase; readonly local: string | undefined },
): string {
  if (phase === "finished") return "done";
  if (local !== undefined && !worker.connected) return local;
  if (!worker.active) return "gone";
  if (!worker.connected) return "unreachable";
  return worker.doing;
}

/** Share of the assigned inner steps that is done; null when it is not training. */
export function trainingShare(worker: WorkerStatus, phase: Phase): number | null {
  if (phase === "finished") return null;
  const isTraining = worker.active && worker.connected && worker.doing === "training";
  return isTraining && worker.innerSteps > 0 ? worker.innerStep / worker.innerSteps : null;
}

/** Local workers that have not joined yet, by name. */
export function notJoined(view: RunView): readonly (readonly [string, string])[] {
  const joined = new Set(view.status.workers.map((worker) => worker.name));
  return [...view.localStates].filter(([name]) => !joined.has(name));
}
