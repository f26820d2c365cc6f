// What a worker is doing, in a sentence and in numbers: for people, never for decisions.
// Not events: a notice is an effect of its own.

import { type Doing, doingOf } from "./session.ts";
import type { CoreState } from "./state.ts";
import type { JobKind } from "./types.ts";

export type CoreStatus = {
  /** One sentence for people. */
  readonly phase: string;
  readonly doing: Doing;
  readonly connected: boolean;
  /** Connections in a row that failed. */
  readonly reconnectAttempt: number;
  readonly runName: string | null;
  /** The round that is worked on, or the newest one known. */
  readonly round: number | null;
  /** Rounds that the weights here have followed. */
  readonly roundsFollowed: number;
  readonly innerStep: number;
  readonly innerSteps: number;
  /** Training loss of the last inner step, in nats per token. */
  readonly loss: number | null;
  readonly tokensPerSecond: number;
  /** Tokens of accepted updates: the credit that this folder earned. */
  readonly tokensGiven: number;
  readonly acceptedUpdates: number;
  readonly lastReject: { readonly code: string; readonly message: string } | null;
};

export function statusOf(state: CoreState): CoreStatus {
  const { progress, ledger, work, round } = state;
  return {
    phase: phaseOf(state),
    doing: doingOf({ state }),
    connected: state.link === "joined",
    reconnectAttempt: state.attempts,
    runName: state.run?.name ?? null,
    round: work?.round.round ?? round?.round ?? null,
    roundsFollowed: state.local?.rounds ?? 0,
    innerStep: progress.innerStep,
    innerSteps: progress.innerSteps,
    loss: progress.loss,
    tokensPerSecond: progress.tokensPerSecond,
    tokensGiven: ledger.tokensGiven,
    acceptedUpdates: ledger.acceptedUpdates,
    lastReject: state.lastReject,
  };
}

function phaseOf(state: CoreState): string {
  if (state.ended) return state.ended.sentence;
  const doing = state.job ? JOB_WORDS[state.job.job.kind](state) : idleWords(state);
  if (state.link === "joined") return doing;
  return `${linkWords(state)}${state.job?.job.kind === "train" ? ` Meanwhile: ${doing}` : ""}`;
}

function linkWords(state: CoreState): string {
  if (state.attempts === 0) return "Connecting.";
  const times = state.attempts === 1 ? "once" : `${state.attempts} times`;
  return `Not connected (${state.linkTrouble}); tried ${times}, trying on.`;
}

function idleWords(state: CoreState): string {
  if (state.trouble !== null) return `Trying again: ${state.trouble}.`;
  if (state.leaving) return "Leaving.";
  if (state.paused) return "The run is paused by its owner.";
  if (state.pending) return `Waiting for the receipt of round ${state.pending.update.round}.`;
  if (state.round && !state.round.assignment) return "Joined; taking part from the next round on.";
  return "Waiting for the next round.";
}

const JOB_WORDS: { readonly [K in JobKind]: (state: CoreState) => string } = {
  restore: () => "Reading what an earlier start left here.",
  prepare: () => "Getting the data and preparing the model.",
  "load-checkpoint": (state) => `Fetching the weights after ${state.checkpoint?.rounds} rounds.`,
  "list-rounds": () => "Asking what happened in the meantime.",
  follow: (state) => `Following round ${state.local?.rounds} of ${state.roundsClosed} closed.`,
  evaluate: (state) => `Measuring the shared weights before round ${state.work?.round.round}.`,
  train: (state) =>
    `Training round ${state.work?.round.round}, ` +
    `step ${state.progress.innerStep} of ${state.progress.innerSteps}.`,
  encode: (state) => `Compressing the update of round ${state.work?.round.round}.`,
  "keep-update": (state) => `Keeping the update of round ${state.work?.round.round}.`,
  upload: (state) => `Uploading the update of round ${state.pending?.update.round}.`,
  settle: (state) => `Booking the answer for round ${state.pending?.update.round}.`,
  save: () => "Keeping the optimiser's state, then leaving.",
};
