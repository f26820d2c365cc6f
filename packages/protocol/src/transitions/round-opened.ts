// RoundOpened: work is dealt out.
// Not the decision that it is time: the same rule (due.ts) demands the event and admits it.
import { err, ok, type Result } from "@manyhands/base/result";
import { type Assignments, assignmentsOf } from "../assignment.ts";
import { openDueAt, positionOf } from "../due.ts";
import type { EventOf } from "../events.ts";
import { POSITION_END } from "../limits.ts";
import { type Reject, reject } from "../rejects.ts";
import { tokensPerStep } from "../run-config.ts";
import { budgetMs, schedulePosition } from "../schedule.ts";
import type { Effect, RoundRecord, RunState, Transition } from "../state.ts";
import { roundInfoFor } from "../views.ts";
import { notDue, wrongPhase } from "./refusals.ts";

/** Until a round has closed, one is expected to take a hundredth of the minutes. */
const FIRST_ROUND_PARTS = 100;

const NOTHING_DEALT: Assignments = { assignments: new Map(), sampleCount: 0 };

/**
 * Opens the next round: every active worker gets inner steps, samples and windows to evaluate. At
 * the end of the budget nobody does: that round only takes the late updates still pending.
 *
 * **Spec** §3.4, §3.5
 * **Rejects** `event/phase`, `event/not-due`, `event/round`, `event/root`, `event/position`.
 * **Bound** one hash per active worker, a sort, one message each.
 */
export function openRound(
  state: RunState,
  event: EventOf<"RoundOpened">,
): Result<Transition, Reject> {
  if (state.phase !== "waiting") return wrongPhase(state, event);
  const dueAt = openDueAt(state);
  if (dueAt === null || dueAt > event.tick) return notDue(event, dueAt);
  const mismatch = openingMismatch(state, event);
  if (mismatch) return err(mismatch);
  const draining = event.position === POSITION_END;
  const dealt = draining ? NOTHING_DEALT : assignmentsOf(state, event.seed);
  const current: RoundRecord = {
    round: event.round,
    openedAt: event.tick,
    baseRoot: event.baseRoot,
    seed: event.seed,
    auditCommitment: event.auditCommitment,
    position: event.position,
    positionAfter: positionAfter(state, dealt.sampleCount),
    assignments: dealt.assignments,
    committed: new Set(),
    quorumAt: null,
  };
  const sampleCursor = state.sampleCursor + dealt.sampleCount;
  const opened: RunState = { ...state, phase: "training", current, sampleCursor };
  return ok({ state: opened, effects: announcements(opened) });
}

function openingMismatch(state: RunState, event: EventOf<"RoundOpened">): Reject | null {
  const { roundsClosed, stateRoot, tokensCommitted } = state;
  if (event.round !== roundsClosed) {
    return reject("event/round", `expected round ${roundsClosed}, found ${event.round}`);
  }
  if (event.baseRoot !== stateRoot) {
    return reject("event/root", `expected the base ${stateRoot}, found ${event.baseRoot}`);
  }
  const position = positionOf(state);
  if (event.position !== position || event.tokensCommitted !== tokensCommitted) {
    const expected = `position ${position} after ${tokensCommitted} tokens`;
    const found = `${event.position} after ${event.tokensCommitted}`;
    return reject("event/position", `expected ${expected}, found ${found}`);
  }
  return null;
}

/** If everybody does its part, and the round takes as long as the earlier ones on average. */
function positionAfter(state: RunState, sampleCount: number): number {
  const { run, roundsClosed, tokensCommitted, trainingMs } = state;
  const { recipe, budget } = run;
  const steps = sampleCount / recipe.batchSequences;
  const firstMs = budget.minutes === null ? 0 : budgetMs(budget.minutes) / FIRST_ROUND_PARTS;
  const roundMs = Math.floor(roundsClosed === 0 ? firstMs : trainingMs / roundsClosed);
  return schedulePosition(budget, {
    tokens: tokensCommitted + steps * tokensPerStep(recipe),
    trainingMs: trainingMs + roundMs,
  });
}

function announcements(state: RunState): Effect[] {
  const effects: Effect[] = [];
  for (const [workerId, worker] of state.workers) {
    const info = worker.active ? roundInfoFor(state, workerId) : null;
    if (info) effects.push({ kind: "send", to: workerId, message: { type: "round", ...info } });
  }
  return effects;
}
