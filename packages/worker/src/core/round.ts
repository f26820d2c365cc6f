// Chapter 3: a round's life here. Assignment, evaluation, inner steps, the update and its
// signature. Not its way to the coordinator: update.ts.

import { defined } from "@manyhands/base/assert";
import type { Update } from "@manyhands/protocol/events";
import { INNER_STEP_MICROS_MAX } from "@manyhands/protocol/limits";
import type { RoundInfo } from "@manyhands/protocol/messages";
import { tokensPerStep } from "@manyhands/protocol/run-config";
import { commitSigningBytes } from "@manyhands/protocol/signing";
import { endWith, notice, type Turn, type Work } from "./state.ts";
import type { AssignedRound, Job, Outcome, OutcomeOf } from "./types.ts";

/** Name of the one state that this worker carries from round to round. */
const ERROR_FEEDBACK = "error-feedback";
const TRAINING_FAILURES_MAX = 2;

export function onRound(turn: Turn, info: RoundInfo): void {
  const { state } = turn;
  if (state.round && info.round < state.round.round) return;
  state.round = info;
  state.paused = false;
  state.roundsClosed = Math.max(state.roundsClosed, info.round);
  abandonIfTooLate(turn);
}

/** A round so far behind that its update could not count any more: stop training for it. */
export function abandonIfTooLate(turn: Turn): void {
  const { state } = turn;
  const { work, run } = state;
  if (!work || !run || work.abandoned) return;
  if (work.stage !== "evaluate" && work.stage !== "train") return;
  if (state.roundsClosed - work.round.round <= run.rounds.stalenessMax) return;
  work.abandoned = true;
  if (state.job?.job.kind === "train") turn.effects.push({ kind: "stop-training" });
  notice(turn, `Round ${work.round.round} closed too long ago; its training is given up.`);
}

/** The next job of the work in progress, or of the open round. */
export function nextRoundJob(turn: Turn): Job | null {
  const { state } = turn;
  const early = state.work?.stage === "evaluate" || state.work?.stage === "train";
  if (early && (state.leaving || state.work?.abandoned)) state.work = null;
  if (!state.work && !state.leaving) startWork(turn);
  const { work } = state;
  if (!work) return null;
  const { assignment, round } = work.round;
  switch (work.stage) {
    case "evaluate":
      return assignment.evaluate
        ? { kind: "evaluate", windows: assignment.evaluate.windows }
        : { kind: "train", round: work.round };
    case "train":
      return { kind: "train", round: work.round };
    case "encode":
      return { kind: "encode", round };
    case "keep":
      return { kind: "keep-update", stored: signedUpdate(turn, work) };
  }
}

/** Takes up the open round if it is ours, not yet done, and its base is what we hold. */
function startWork(turn: Turn): void {
  const { state } = turn;
  const { round, local, pending, prepared, ledger } = state;
  if (!round?.assignment || !local?.confirmed || pending || !prepared) return;
  if (round.round !== local.rounds || round.round < ledger.settledRounds) return;
  if (round.baseRoot !== local.stateRoot) {
    endWith(
      turn,
      "diverged",
      `Round ${round.round} starts from ${round.baseRoot.slice(0, 12)}…, but the state here is ` +
        `${local.stateRoot.slice(0, 12)}…. Stopping, so that nothing wrong spreads.`,
    );
    return;
  }
  const assigned: AssignedRound = { ...round, assignment: round.assignment };
  state.progress = {
    ...state.progress,
    innerStep: 0,
    innerSteps: round.assignment.innerSteps,
  };
  state.work = {
    round: assigned,
    stage: round.assignment.evaluate ? "evaluate" : "train",
    evaluation: null,
    training: null,
    encoded: null,
    abandoned: false,
  };
}

export function onWorkDone(turn: Turn, outcome: Outcome): void {
  const { state } = turn;
  const { work } = state;
  if (!work) return;
  if (work.abandoned) {
    state.work = null;
    return;
  }
  if (outcome.kind === "evaluate") {
    work.evaluation = { lossMicronats: outcome.lossMicronats, tokens: outcome.tokens };
    work.stage = "train";
  } else if (outcome.kind === "train") {
    onTrained(turn, work, outcome);
  } else if (outcome.kind === "encode") {
    work.encoded = outcome;
    work.stage = "keep";
  }
}

function onTrained(turn: Turn, work: Work, outcome: OutcomeOf<"train">): void {
  const { state } = turn;
  if (outcome.innerSteps === 0) {
    state.work = null;
    return;
  }
  work.training = outcome;
  work.stage = "encode";
}

/** The evaluation is a service to those who watch: a round goes on without it. */
export function onEvaluationFailed(turn: Turn, sentence: string): void {
  if (turn.state.work) turn.state.work.stage = "train";
  notice(turn, `The shared evaluation failed here: ${sentence}`);
}

/**
 * The result is unusable: nothing is sent. Once more with a fresh optimiser; then this device
 * stops, because a swarm gains nothing from one that computes nonsense, and would wait for it.
 */
export function onTrainingFailed(turn: Turn, sentence: string): void {
  const { state } = turn;
  const round = state.work?.round.round ?? state.roundsClosed;
  state.work = null;
  state.trainingFailures += 1;
  turn.effects.push({ kind: "reset-optimizer" });
  if (state.trainingFailures >= TRAINING_FAILURES_MAX) {
    endWith(turn, "compute-failed", `Training gave nothing usable twice in a row: ${sentence}`);
    return;
  }
  notice(turn, `Round ${round} is given up here, nothing is sent: ${sentence}`);
}

/** The update as this worker claims it, signed. Built once per round. */
function signedUpdate(turn: Turn, work: Work): Extract<Job, { kind: "keep-update" }>["stored"] {
  const { config, state } = turn;
  const run = defined(state.run, "a round has a run");
  const training = defined(work.training, "an update has its training");
  const encoded = defined(work.encoded, "an update has its bytes");
  const { round, baseRoot, assignment } = work.round;
  const { innerSteps, lossMicronats } = training;
  const update: Update = {
    round,
    baseRoot,
    data: {
      kind: "range",
      firstSample: assignment.firstSample,
      sampleCount: innerSteps * run.recipe.batchSequences,
    },
    tokens: innerSteps * tokensPerStep(run.recipe),
    innerSteps,
    codec: run.recipe.codec,
    numerics: config.numerics,
    fragments: null,
    updateRoot: encoded.updateRoot,
    updateBytes: encoded.updateBytes,
    groupCount: 1,
    traceRoot: null,
    carried: [
      { name: ERROR_FEEDBACK, before: encoded.residualBefore, after: encoded.residualAfter },
    ],
    metrics: {
      trainLossMicronats: lossMicronats,
      innerStepMicros: Math.min(INNER_STEP_MICROS_MAX, Math.max(1, training.innerStepMicros)),
      evaluation: work.evaluation,
    },
  };
  return { update, signature: config.identity.sign(commitSigningBytes(config.runId, update)) };
}
