// RunFinished: the run's last event.
// Not the export: that reads the newest checkpoint.
import { err, ok, type Result } from "@manyhands/base/result";
import { finishDue } from "../due.ts";
import type { EventOf } from "../events.ts";
import { type Reject, reject } from "../rejects.ts";
import type { RunState, Transition } from "../state.ts";
import { notDue, wrongPhase } from "./refusals.ts";

/**
 * Ends the run: for good, so that the last creditRoot covers every accepted update.
 *
 * **Spec** §3.4
 * **Rejects** `event/phase` in a round's close or after the end, `event/not-due` while budget is
 * left or an accepted update waits for a close, `event/reason` if another budget ran out.
 */
export function finishRun(
  state: RunState,
  event: EventOf<"RunFinished">,
): Result<Transition, Reject> {
  const { phase, pending } = state;
  if (phase === "closing" || phase === "finished") return wrongPhase(state, event);
  if (pending.length > 0) return notDue(event, null);
  if (event.reason !== "stopped") {
    const due = finishDue(state);
    if (due === null) return notDue(event, null);
    if (due !== event.reason) {
      return err(reject("event/reason", `expected ${due}, found ${event.reason}`));
    }
  }
  const finished: RunState = {
    ...state,
    phase: "finished",
    current: null,
    finishReason: event.reason,
  };
  const { stateRoot } = state;
  return ok({
    state: finished,
    effects: [
      { kind: "broadcast", message: { type: "finished", reason: event.reason, stateRoot } },
    ],
  });
}
