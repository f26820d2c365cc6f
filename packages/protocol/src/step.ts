// The protocol: one pure function from a state and an event to the next state and its effects, or a
// rejection. Each event's rules are in transitions/. No clock, no randomness, no I/O.
import { assert, unreachable } from "@manyhands/base/assert";
import { err, ok, type Result } from "@manyhands/base/result";
import type { EventOf, RunEvent } from "./events.ts";
import { type Reject, reject } from "./rejects.ts";
import type { Env, RunState, Transition } from "./state.ts";
import { closeCommitments } from "./transitions/commitments-closed.ts";
import { closeRound } from "./transitions/round-closed.ts";
import { openRound } from "./transitions/round-opened.ts";
import { createRun } from "./transitions/run-created.ts";
import { finishRun } from "./transitions/run-finished.ts";
import { pauseRun, resumeRun } from "./transitions/run-paused.ts";
import { commitUpdate } from "./transitions/update-committed.ts";
import { joinWorker } from "./transitions/worker-joined.ts";
import { leaveWorker } from "./transitions/worker-left.ts";

/**
 * Decides one event. The event must have come through its decoder; signatures are the host's.
 *
 * **Pre** env.now is not behind the newest event: a host whose clock went back uses state.tick.
 * **Post** the same arguments give the same result everywhere; nothing passed in changes.
 * **Rejects** `event/order`, `event/tick`, and those of the transition.
 * **Bound** linear in the workers on record.
 *
 * @param state null before RunCreated
 * @source docs/spec §3.3
 */
export function step(
  state: RunState | null,
  event: RunEvent,
  env: Env,
): Result<Transition, Reject> {
  if (event.tick > env.now) {
    const message = `expected a tick ≤ ${env.now}, the clock's, found ${event.tick}`;
    return err(reject("event/tick", message));
  }
  if (event.type === "RunCreated") {
    if (!state) return createRun(event);
    return err(reject("event/order", `run ${state.runId} has begun already`));
  }
  if (!state) {
    return err(reject("event/order", `a run begins with RunCreated, found ${event.type}`));
  }
  if (event.tick < state.tick) {
    const message = `expected a tick ≥ ${state.tick}, the newest event's, found ${event.tick}`;
    return err(reject("event/tick", message));
  }
  return decide({ ...state, tick: event.tick }, event);
}

function decide(
  state: RunState,
  event: Exclude<RunEvent, EventOf<"RunCreated">>,
): Result<Transition, Reject> {
  switch (event.type) {
    case "WorkerJoined":
      return joinWorker(state, event);
    case "WorkerLeft":
      return leaveWorker(state, event);
    case "RoundOpened":
      return openRound(state, event);
    case "UpdateCommitted":
      return commitUpdate(state, event);
    case "CommitmentsClosed":
      return closeCommitments(state, event);
    case "RoundClosed":
      return closeRound(state, event);
    case "RunPaused":
      return pauseRun(state, event);
    case "RunResumed":
      return resumeRun(state, event);
    case "RunFinished":
      return finishRun(state, event);
    default:
      return unreachable(event);
  }
}

/** Where a replay stopped: the index of the event, and why. */
export type ReplayReject = Reject & { readonly index: number };

/**
 * The state after a log's events, from `state` on: a fold that ignores effects.
 *
 * @returns the first event that is refused, by its index
 */
export function replay(
  state: RunState | null,
  events: readonly RunEvent[],
): Result<RunState, ReplayReject> {
  let at = state;
  for (const [index, event] of events.entries()) {
    const next = step(at, event, { now: event.tick });
    if (!next.ok) return err({ ...next.error, index });
    at = next.value.state;
  }
  assert(at !== null, "a replay of no events needs a state to begin with");
  return ok(at);
}
