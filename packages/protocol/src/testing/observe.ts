// A state as one text, for comparing states and for finding out whether one was changed in place.
// Not a format: a snapshot for disk would be another decoder.
import type { RunState } from "../state.ts";

export function snapshotText(state: RunState | null): string {
  return JSON.stringify(state, (_, value: unknown) => {
    if (value instanceof Map) return { map: [...value] };
    return value instanceof Set ? { set: [...value] } : value;
  });
}

export function totalCredit(state: RunState): number {
  return [...state.workers.values()].reduce((sum, worker) => sum + worker.credit, 0);
}
