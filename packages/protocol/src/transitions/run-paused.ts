// RunPaused and RunResumed: the owner holds the run between rounds, and lets it go on.
// Not the wish itself: a host that is asked during a round keeps it until the round has closed.
import { ok, type Result } from "@manyhands/base/result";
import type { EventOf } from "../events.ts";
import type { Reject } from "../rejects.ts";
import type { RunState, Transition } from "../state.ts";
import { wrongPhase } from "./refusals.ts";

/**
 * Holds the run. Workers come, go and commit late; no round opens.
 *
 * **Spec** §3.4
 * **Rejects** `event/phase` unless the run waits.
 */
export function pauseRun(state: RunState, event: EventOf<"RunPaused">): Result<Transition, Reject> {
  if (state.phase !== "waiting") return wrongPhase(state, event);
  return ok({
    state: { ...state, phase: "paused" },
    effects: [{ kind: "broadcast", message: { type: "paused" } }],
  });
}

/**
 * Lets a paused run go on.
 *
 * **Spec** §3.4
 * **Rejects** `event/phase` unless the run is paused.
 */
export function resumeRun(
  state: RunState,
  event: EventOf<"RunResumed">,
): Result<Transition, Reject> {
  if (state.phase !== "paused") return wrongPhase(state, event);
  return ok({
    state: { ...state, phase: "waiting", waitingSince: event.tick },
    effects: [{ kind: "broadcast", message: { type: "resumed" } }],
  });
}
