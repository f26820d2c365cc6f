// Refusals that several transitions share.
// Not a list of all: codes are in rejects.ts, their rules in docs/spec §3.7.
import { type Err, err } from "@manyhands/base/result";
import type { RunEvent, Tick } from "../events.ts";
import { type Reject, reject } from "../rejects.ts";
import type { RunState } from "../state.ts";

export function wrongPhase(state: RunState, event: RunEvent): Err<Reject> {
  return err(reject("event/phase", `${event.type} does not fit the phase ${state.phase}`));
}

/** @param dueAt null if an event has to come first */
export function notDue(event: RunEvent, dueAt: Tick | null): Err<Reject> {
  const when = dueAt === null ? "after another event" : `at tick ${dueAt}`;
  return err(reject("event/not-due", `${event.type} is due ${when}, found tick ${event.tick}`));
}
