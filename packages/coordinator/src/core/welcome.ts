// What a worker is told when it has joined: where the weights are, what was closed since, and its
// part.

import type { WorkerId } from "@manyhands/protocol/keys";
import { CLOSED_ROUNDS_MAX } from "@manyhands/protocol/limits";
import type { ServerMessageOf } from "@manyhands/protocol/messages";
import { roundInfoFor } from "@manyhands/protocol/views";
import type { RunDriver } from "./run-driver.ts";

export function welcomeFor(
  workerId: WorkerId,
  session: string,
  driver: RunDriver,
): ServerMessageOf<"welcome"> {
  const { run, authority, phase, current: round } = driver.state;
  const { rounds, weights, byteLength, stateRoot } = driver.checkpoint;
  const current = roundInfoFor(driver.state, workerId);
  // Who has committed already has nothing left to do in this round.
  const committed = round?.committed.has(workerId) === true;
  return {
    type: "welcome",
    workerId,
    session,
    run,
    authority: [...authority],
    checkpoint: { rounds, root: weights, byteLength, stateRoot },
    closed: driver.ledger.closed.slice(rounds, rounds + CLOSED_ROUNDS_MAX),
    current: current && committed ? { ...current, assignment: null } : current,
    paused: phase === "paused",
  };
}
