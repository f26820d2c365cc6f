// Parts of the state in the form in which they are told to workers.
// Not messages from people or to people: views for screens are the command line's and the page's.
import type { EventOf } from "./events.ts";
import type { WorkerId } from "./keys.ts";
import type { ClosedRound, RoundInfo } from "./messages.ts";
import type { RunState } from "./state.ts";

/** The round that workers train in now, with this worker's part; null while none is open. */
export function roundInfoFor(state: RunState, workerId: WorkerId): RoundInfo | null {
  const { current, phase } = state;
  if (phase !== "training" || !current) return null;
  const { round, baseRoot, seed, position, positionAfter } = current;
  const assignment = current.assignments.get(workerId) ?? null;
  return { round, baseRoot, seed, position, positionAfter, assignment };
}

/** What a follower needs of a closed round. */
export function closedRoundOf(event: EventOf<"RoundClosed">): ClosedRound {
  const { round, aggregate, weightsRoot, feedbackRoot, stateRoot } = event;
  return { round, aggregate, weightsRoot, feedbackRoot, stateRoot };
}
