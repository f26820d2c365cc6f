// CommitmentsClosed: from here on the round's contributions are fixed and its audits known.
// Not the aggregation, which only now may read the sealed blobs.
import { err, ok, type Result } from "@manyhands/base/result";
import { closeDueAt } from "../due.ts";
import type { EventOf } from "../events.ts";
import { type Reject, reject } from "../rejects.ts";
import { auditCommitmentOf } from "../roots.ts";
import type { RunState, Transition } from "../state.ts";
import { notDue, wrongPhase } from "./refusals.ts";

/**
 * Fixes what the close takes: all pending commitments, late ones of earlier rounds included.
 *
 * **Spec** §3.4
 * **Rejects** `event/phase`, `event/round`, `event/not-due`, `event/audit-seed`.
 * **Why** the audit seed was committed to at the opening, so that a coordinator cannot pick audits
 * that miss a friend's update.
 */
export function closeCommitments(
  state: RunState,
  event: EventOf<"CommitmentsClosed">,
): Result<Transition, Reject> {
  const { current } = state;
  if (state.phase !== "training" || !current) return wrongPhase(state, event);
  if (event.round !== current.round) {
    return err(reject("event/round", `expected round ${current.round}, found ${event.round}`));
  }
  const dueAt = closeDueAt(state);
  if (dueAt === null || dueAt > event.tick) return notDue(event, dueAt);
  const commitment = auditCommitmentOf(event.auditSeed);
  if (commitment !== current.auditCommitment) {
    const expected = `a seed that hashes to ${current.auditCommitment}`;
    return err(reject("event/audit-seed", `expected ${expected}, found ${commitment}`));
  }
  const closing = state.pending;
  return ok({ state: { ...state, phase: "closing", closing, pending: [] }, effects: [] });
}
