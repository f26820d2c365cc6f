// Chapter 2: catching up. From what we have, or the newest checkpoint, to the state after every
// closed round. Not the arithmetic: the replica takes the steps, this chapter orders them and
// compares the roots.

import { stateRoot } from "@manyhands/aggregation/roots";
import { fromHex, toHex } from "@manyhands/base/bytes";
import type { ClosedRound, ServerMessageOf } from "@manyhands/protocol/messages";
import { abandonIfTooLate } from "./round.ts";
import { endWith, notice, type Turn } from "./state.ts";
import type { Checkpoint, Job, OutcomeOf } from "./types.ts";

export function onWelcomeRounds(turn: Turn, message: ServerMessageOf<"welcome">): void {
  const { state } = turn;
  const { checkpoint, closed, current } = message;
  state.checkpoint = checkpoint;
  state.known = new Map(closed.map((round) => [round.round, round]));
  state.roundsClosed = Math.max(checkpoint.rounds + closed.length, current?.round ?? 0);
  const { local } = state;
  if (local && local.rounds > state.roundsClosed) {
    dropLocal(turn, "the coordinator is behind the weights here");
  }
  abandonIfTooLate(turn);
}

export function onClosed(turn: Turn, closed: ClosedRound): void {
  const { state } = turn;
  state.roundsClosed = Math.max(state.roundsClosed, closed.round + 1);
  if (closed.round >= (state.local?.rounds ?? 0)) state.known.set(closed.round, closed);
  abandonIfTooLate(turn);
}

function dropLocal(turn: Turn, why: string): void {
  turn.state.local = null;
  notice(turn, `Starting from the coordinator's checkpoint: ${why}.`);
}

/** What to do next so that the weights here become the newest ones; null when they are. */
export function nextFollowJob(turn: Turn): Job | null {
  const { state } = turn;
  if (state.link !== "joined" || !state.checkpoint || !state.restored) return null;
  if (state.local && !state.local.confirmed) {
    const needed = confirmLocal(turn, state.local);
    if (needed) return needed;
  }
  return state.local
    ? nextRoundToFollow(turn, state.local)
    : fromCheckpoint(state.checkpoint, turn);
}

/**
 * Are the restored weights a state of this run? Sets `confirmed`, drops them, or asks for more
 * rounds.
 */
function confirmLocal(turn: Turn, local: NonNullable<Turn["state"]["local"]>): Job | null {
  const { state } = turn;
  if (local.rounds > state.roundsClosed) {
    dropLocal(turn, "the coordinator is behind the weights kept here");
    return null;
  }
  if (local.rounds === 0) {
    if (local.weightsRoot === state.run?.initialWeightsRoot) local.confirmed = true;
    else dropLocal(turn, "the weights kept here are not this run's");
    return null;
  }
  const closed = state.known.get(local.rounds - 1);
  if (!closed) return { kind: "list-rounds", from: local.rounds - 1 };
  const same = closed.weightsRoot === local.weightsRoot && closed.stateRoot === local.stateRoot;
  if (same) local.confirmed = true;
  else dropLocal(turn, "the weights kept here are not in the coordinator's history");
  return null;
}

/** A checkpoint is believed only with the round that closed before it, whose roots bind it. */
function fromCheckpoint(checkpoint: Checkpoint, turn: Turn): Job {
  const needsRound = checkpoint.rounds > 0 && !turn.state.known.has(checkpoint.rounds - 1);
  return needsRound
    ? { kind: "list-rounds", from: checkpoint.rounds - 1 }
    : { kind: "load-checkpoint", checkpoint };
}

function nextRoundToFollow(turn: Turn, local: { rounds: number }): Job | null {
  const { state } = turn;
  if (local.rounds >= state.roundsClosed) return null;
  const closed = state.known.get(local.rounds);
  if (!closed) return { kind: "list-rounds", from: local.rounds };
  if (state.checkpoint && checkpointIsCheaper(turn, local.rounds, state.checkpoint)) {
    state.local = null;
    return fromCheckpoint(state.checkpoint, turn);
  }
  return { kind: "follow", closed, isNewest: closed.round + 1 === state.roundsClosed };
}

/** Would the aggregates up to the checkpoint cost more bytes than the checkpoint? */
function checkpointIsCheaper(turn: Turn, rounds: number, checkpoint: Checkpoint): boolean {
  let bytes = 0;
  for (let round = rounds; round < checkpoint.rounds; round++) {
    bytes += turn.state.known.get(round)?.aggregate?.byteLength ?? 0;
  }
  return bytes > checkpoint.byteLength;
}

/** @returns false if the answer brought nothing that was asked for */
export function onRoundsListed(
  turn: Turn,
  job: Extract<Job, { kind: "list-rounds" }>,
  outcome: OutcomeOf<"list-rounds">,
): boolean {
  for (const closed of outcome.rounds) {
    turn.state.known.set(closed.round, closed);
    turn.state.roundsClosed = Math.max(turn.state.roundsClosed, closed.round + 1);
  }
  return turn.state.known.has(job.from);
}

export function onCheckpointLoaded(
  turn: Turn,
  { checkpoint }: Extract<Job, { kind: "load-checkpoint" }>,
  { weightsRoot }: OutcomeOf<"load-checkpoint">,
): void {
  const { state } = turn;
  const { rounds } = checkpoint;
  const closed = state.known.get(rounds - 1);
  // A new welcome in the meantime does not name that round: ask for it, and load again.
  if (rounds > 0 && !closed) return;
  const expected = rounds === 0 ? state.run?.initialWeightsRoot : closed?.weightsRoot;
  const boundRoot = closed ? stateRootOf(closed, weightsRoot) : checkpoint.stateRoot;
  if (weightsRoot !== expected || boundRoot !== checkpoint.stateRoot) {
    endWith(
      turn,
      "diverged",
      `The checkpoint after ${rounds} rounds is not the state that the coordinator's rounds name.`,
    );
    return;
  }
  state.local = { rounds, weightsRoot, stateRoot: checkpoint.stateRoot, confirmed: true };
}

export function onFollowed(
  turn: Turn,
  { closed }: Extract<Job, { kind: "follow" }>,
  { weightsRoot }: OutcomeOf<"follow">,
): void {
  const { state } = turn;
  const agrees = weightsRoot === closed.weightsRoot;
  if (!agrees || stateRootOf(closed, weightsRoot) !== closed.stateRoot) {
    endWith(
      turn,
      "diverged",
      `After round ${closed.round} the weights here (${weightsRoot.slice(0, 12)}…) are not the ` +
        `coordinator's (${closed.weightsRoot.slice(0, 12)}…). ` +
        "Stopping, so that nothing wrong spreads.",
    );
    return;
  }
  state.known.delete(closed.round - 1);
  state.local = {
    rounds: closed.round + 1,
    weightsRoot,
    stateRoot: closed.stateRoot,
    confirmed: true,
  };
}

function stateRootOf(closed: ClosedRound, weightsRoot: string): string {
  return toHex(
    stateRoot({
      weightsRoot: fromHex(weightsRoot),
      feedbackRoot: fromHex(closed.feedbackRoot),
      round: closed.round + 1,
    }),
  );
}
