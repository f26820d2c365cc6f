// RoundClosed: the weights take their step, and everybody gets the credit that is due.
// Not the arithmetic: the aggregation computed the roots, and every worker checks them.
import { err, ok, type Result } from "@manyhands/base/result";
import { closingRoots, creditedWorkers } from "../contributions.ts";
import type { EventOf } from "../events.ts";
import { type Reject, reject } from "../rejects.ts";
import type { RoundRecord, RunState, Transition } from "../state.ts";
import { closedRoundOf } from "../views.ts";
import { wrongPhase } from "./refusals.ts";

/**
 * Ends a round: credit, tokens and training time grow, and the next round may open.
 *
 * **Spec** §3.4
 * **Post** Σ credit = tokensCommitted.
 * **Rejects** `event/phase`, `event/round`, `event/root`, `event/aggregate`.
 * **Bound** one hash per worker on record.
 */
export function closeRound(
  state: RunState,
  event: EventOf<"RoundClosed">,
): Result<Transition, Reject> {
  const { current, closing } = state;
  if (state.phase !== "closing" || !current) return wrongPhase(state, event);
  if (event.round !== current.round) {
    return err(reject("event/round", `expected round ${current.round}, found ${event.round}`));
  }
  const mismatch = closingMismatch(state, event);
  if (mismatch) return err(mismatch);
  const tokens = closing.reduce((sum, { update }) => sum + update.tokens, 0);
  // A round that nobody was there to close, or that outlived a crash, does not eat up the minutes.
  const roundMs = Math.min(event.tick - current.openedAt, state.run.rounds.roundMsMax);
  const next: RunState = {
    ...state,
    phase: "waiting",
    waitingSince: event.tick,
    workers: creditedWorkers(state),
    roundsClosed: current.round + 1,
    weightsRoot: event.weightsRoot,
    feedbackRoot: event.feedbackRoot,
    stateRoot: event.stateRoot,
    current: null,
    recent: newest([...state.recent, current], state.run.rounds.stalenessMax),
    closing: [],
    tokensCommitted: state.tokensCommitted + tokens,
    trainingMs: state.trainingMs + roundMs,
  };
  const closed = closedRoundOf(event);
  return ok({
    state: next,
    effects: [{ kind: "broadcast", message: { type: "closed", closed } }],
  });
}

function closingMismatch(state: RunState, event: EventOf<"RoundClosed">): Reject | null {
  const { updatesRoot, creditRoot } = closingRoots(state);
  if (event.updatesRoot !== updatesRoot) {
    return reject("event/root", `expected updates ${updatesRoot}, found ${event.updatesRoot}`);
  }
  if (event.creditRoot !== creditRoot) {
    return reject("event/root", `expected credits ${creditRoot}, found ${event.creditRoot}`);
  }
  if (event.aggregate !== null) {
    if (state.closing.length > 0) return null;
    return reject("event/aggregate", "expected no aggregate, because nobody contributed");
  }
  const { weightsRoot, feedbackRoot } = state;
  if (event.weightsRoot === weightsRoot && event.feedbackRoot === feedbackRoot) return null;
  return reject("event/aggregate", "expected unchanged weights and feedback without an aggregate");
}

function newest(rounds: readonly RoundRecord[], countMax: number): readonly RoundRecord[] {
  return rounds.slice(Math.max(0, rounds.length - countMax));
}
