// The coordinator's own events, complete and right for the state at hand: what `step` will accept.
// Not the decision to propose them, which is demandOf's, nor randomness, which comes in.
import { closingRoots } from "./contributions.ts";
import { positionOf } from "./due.ts";
import type { EventOf, Tick } from "./events.ts";
import { auditCommitmentOf } from "./roots.ts";
import type { RunState } from "./state.ts";

export type RoundSeeds = {
  /** Public from now on: who does what. */
  readonly seed: string;
  /** Secret until CommitmentsClosed. Derive it from a kept secret, so that a restart knows it. */
  readonly auditSeed: string;
};

export function roundOpened(
  state: RunState,
  tick: Tick,
  seeds: RoundSeeds,
): EventOf<"RoundOpened"> {
  return {
    type: "RoundOpened",
    tick,
    round: state.roundsClosed,
    baseRoot: state.stateRoot,
    seed: seeds.seed,
    auditCommitment: auditCommitmentOf(seeds.auditSeed),
    position: positionOf(state),
    tokensCommitted: state.tokensCommitted,
  };
}

export function commitmentsClosed(
  state: RunState,
  tick: Tick,
  auditSeed: string,
): EventOf<"CommitmentsClosed"> {
  return { type: "CommitmentsClosed", tick, round: state.roundsClosed, auditSeed };
}

/** What the aggregation found. */
export type RoundResult = Pick<
  EventOf<"RoundClosed">,
  "aggregate" | "weightsRoot" | "feedbackRoot" | "stateRoot"
>;

/** Built in the turn in which it is appended: a join in between changes the credit root. */
export function roundClosed(
  state: RunState,
  tick: Tick,
  result: RoundResult,
): EventOf<"RoundClosed"> {
  const { aggregate, weightsRoot, feedbackRoot, stateRoot } = result;
  return {
    type: "RoundClosed",
    tick,
    round: state.roundsClosed,
    ...closingRoots(state),
    aggregate,
    weightsRoot,
    feedbackRoot,
    stateRoot,
  };
}
