// When a round may open, close or be the last: the only place where the protocol reads the clock.
// Used by demandOf, which asks for the event, and by step, which refuses it before its time.
import type { FinishReason, Tick } from "./events.ts";
import type { WorkerId } from "./keys.ts";
import { BPS, POSITION_END } from "./limits.ts";
import { schedulePosition } from "./schedule.ts";
import type { RoundRecord, RunState } from "./state.ts";

/** Due at once, whatever the clock says. */
const NOW: Tick = 0;

/** Where the schedule stands after the rounds closed so far. */
export function positionOf(state: RunState): number {
  const { run, tokensCommitted: tokens, trainingMs } = state;
  return schedulePosition(run.budget, { tokens, trainingMs });
}

export function activeCount(state: RunState): number {
  let count = 0;
  for (const worker of state.workers.values()) if (worker.active) count += 1;
  return count;
}

/**
 * From which tick on a round may open; null if an event has to come first.
 *
 * @source docs/spec §3.4
 */
export function openDueAt(state: RunState): Tick | null {
  if (state.phase !== "waiting") return null;
  // A last round without assignments takes the late updates that came while the last one closed.
  const drain = state.pending.length > 0 ? NOW : null;
  if (positionOf(state) === POSITION_END) return drain;
  const active = activeCount(state);
  if (active === 0) return drain;
  const { workersMin, waitMs } = state.run.rounds;
  if (state.roundsClosed > 0 || active >= workersMin) return NOW;
  return state.waitingSince + waitMs;
}

/**
 * From which tick on the open round's commitments may close; null if an event has to come first.
 *
 * @source docs/spec §3.4
 */
export function closeDueAt(state: RunState): Tick | null {
  const { current, phase } = state;
  if (phase !== "training" || !current) return null;
  // Without a commitment, and with nobody who waits for the next round, there is nothing to gain.
  const worthClosing = state.pending.length > 0 || hasOutsider(state, current);
  if (!hasHoldout(state, current)) return worthClosing ? NOW : null;
  const { graceBps, roundMsMax } = state.run.rounds;
  const deadline = worthClosing ? current.openedAt + roundMsMax : null;
  if (current.quorumAt === null) return deadline;
  const grace = Math.floor((graceBps * (current.quorumAt - current.openedAt)) / BPS);
  const graceEnd = current.quorumAt + grace;
  return deadline === null ? graceEnd : Math.min(graceEnd, deadline);
}

/** Is a participant active that has not committed? */
function hasHoldout(state: RunState, current: RoundRecord): boolean {
  for (const workerId of current.assignments.keys()) {
    if (state.workers.get(workerId)?.active && !current.committed.has(workerId)) return true;
  }
  return false;
}

/** Is a worker active that has no part in this round? */
function hasOutsider(state: RunState, current: RoundRecord): boolean {
  for (const [workerId, worker] of state.workers) {
    if (worker.active && !current.assignments.has(workerId)) return true;
  }
  return false;
}

/** Have enough of those participants committed that are still there? */
function quorumReached(state: RunState, current: RoundRecord): boolean {
  const counts = (workerId: WorkerId): boolean =>
    current.committed.has(workerId) || state.workers.get(workerId)?.active === true;
  let electorate = 0;
  for (const workerId of current.assignments.keys()) if (counts(workerId)) electorate += 1;
  const needed = Math.ceil((state.run.rounds.quorumBps * electorate) / BPS);
  return current.committed.size > 0 && current.committed.size >= needed;
}

/** The state with quorumAt set, if the quorum has just been reached. */
export function withQuorum(state: RunState): RunState {
  const { current, phase, tick } = state;
  if (phase !== "training" || !current || current.quorumAt !== null) return state;
  return quorumReached(state, current)
    ? { ...state, current: { ...current, quorumAt: tick } }
    : state;
}

/** Why the run is over once no update is pending; null while budget is left. */
export function finishDue(state: RunState): Exclude<FinishReason, "stopped"> | null {
  if (state.phase !== "waiting" || state.pending.length > 0) return null;
  if (positionOf(state) < POSITION_END) return null;
  const { tokens } = state.run.budget;
  return tokens !== null && state.tokensCommitted >= tokens ? "tokens" : "minutes";
}
