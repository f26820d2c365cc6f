// What has to happen next, derived from the state alone: the host asks after every event, after a
// restart, and when a timer fires. Not a plan: it names one event, and the host proposes it.
import { closingRoots, contributionsOf } from "./contributions.ts";
import { closeDueAt, finishDue, openDueAt } from "./due.ts";
import type { Tick } from "./events.ts";
import type { Demand, RunState } from "./state.ts";

/**
 * The next event that the host has to propose, or until when there is nothing to do.
 *
 * **Post** an event proposed as demanded, at a tick ≥ `now`, is accepted by `step`. The roots of
 * `aggregate` hold until the next event: propose.ts computes them again for the event itself.
 * **Bound** one pass over the workers; while closing, one hash per worker on record.
 *
 * @param now the host's clock, not behind state.tick
 * @source docs/spec §3.4
 */
export function demandOf(state: RunState, now: Tick): Demand {
  switch (state.phase) {
    case "waiting": {
      const reason = finishDue(state);
      if (reason) return { kind: "finish", reason };
      return atItsTime({ kind: "open-round" }, openDueAt(state), now);
    }
    case "training": {
      const close = { kind: "close-commitments", round: state.roundsClosed } as const;
      return atItsTime(close, closeDueAt(state), now);
    }
    case "closing":
      return {
        kind: "aggregate",
        round: state.roundsClosed,
        contributions: contributionsOf(state),
        ...closingRoots(state),
      };
    case "paused":
    case "finished":
      return { kind: "wait", wakeAt: null };
  }
}

function atItsTime(demand: Demand, dueAt: Tick | null, now: Tick): Demand {
  return dueAt !== null && dueAt <= now ? demand : { kind: "wait", wakeAt: dueAt };
}
