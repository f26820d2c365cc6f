// Chapter 5: jobs. Which one comes next, what its result means, what its failure means.
// Not the work itself: the host runs jobs and reports back.
import { nextFollowJob, onCheckpointLoaded, onFollowed, onRoundsListed } from "./follow.ts";
import { nextRoundJob, onEvaluationFailed, onTrainingFailed, onWorkDone } from "./round.ts";
import { reconnect } from "./session.ts";
import { arm, endWith, jitterMs, notice, send, type Turn } from "./state.ts";
import {
  type EndReason,
  type Failure,
  type Job,
  MEMORY_LIMIT,
  type Outcome,
  type WorkerEnd,
} from "./types.ts";
import { nextUpdateJob, onUploaded, pendingFrom, refuse } from "./update.ts";

const AGAIN_STREAM = 2;
/** A polite leave takes so long at most. */
const LEAVE_MS_MAX = 20_000;

/** Derives what to do from the state alone: called after every input. */
export function proceed(turn: Turn): void {
  const { state } = turn;
  if (state.ended || endIfSafe(turn)) return;
  if (state.job || state.waiting) return;
  const job = nextJob(turn);
  // Choosing may have found that we must end: a round that starts from another state, for instance.
  if (endIfSafe(turn)) return;
  if (job) start(turn, job);
  else if (state.leaving && state.pending?.stage !== "committed") start(turn, { kind: "save" });
}

function nextJob(turn: Turn): Job | null {
  const { state } = turn;
  if (state.run && !state.restored) return { kind: "restore", run: state.run };
  const update = nextUpdateJob(turn);
  if (update) return update;
  if (state.work || state.leaving) return nextRoundJob(turn);
  if (state.run && !state.prepared && state.link === "joined") {
    return { kind: "prepare", run: state.run };
  }
  return nextFollowJob(turn) ?? nextRoundJob(turn);
}

function start(turn: Turn, job: Job): void {
  const { state } = turn;
  state.jobsStarted += 1;
  state.job = { id: state.jobsStarted, job };
  turn.effects.push({ kind: "job", id: state.jobsStarted, job });
}

/** Ends if an end was decided, but never between the files of one update. */
function endIfSafe(turn: Turn): boolean {
  const { state } = turn;
  const kind = state.job?.job.kind;
  if (!state.ending || kind === "settle" || kind === "keep-update") return false;
  exit(turn, state.ending);
  return true;
}

export function exit(turn: Turn, end: WorkerEnd): void {
  const { state } = turn;
  const over = end.reason === "finished" || end.reason === "run-finished";
  if (state.link === "joined" && !over) send(turn, { type: "leave" });
  turn.effects.push({ kind: "disconnect" }, { kind: "exit", end });
  state.link = "down";
  state.ended = end;
}

/** A polite stop: what was trained is still sent, if that is quickly done. */
export function leave(turn: Turn): void {
  const { state } = turn;
  if (state.leaving) return;
  state.leaving = true;
  state.waiting = false;
  arm(turn, "reconnect", null);
  arm(turn, "leave", LEAVE_MS_MAX);
  if (state.job?.job.kind === "train") turn.effects.push({ kind: "stop-training" });
  // Before the first preparation there is nothing to keep: no reason to wait for downloads.
  if (!state.prepared && !state.pending && state.job) exit(turn, leaveEnd());
}

export function leaveEnd(): WorkerEnd {
  return { reason: "stopped", sentence: "Stopped politely, as asked.", code: null };
}

export function onDone(turn: Turn, id: number, outcome: Outcome): void {
  const { state } = turn;
  const { job } = state;
  if (job?.id !== id || job.job.kind !== outcome.kind) return;
  state.job = null;
  state.jobFailures = 0;
  state.trouble = null;
  apply(turn, job.job, outcome);
}

function apply(turn: Turn, job: Job, outcome: Outcome): void {
  const { state } = turn;
  switch (outcome.kind) {
    case "restore":
      state.restored = true;
      state.local = outcome.weights && { ...outcome.weights, confirmed: false };
      state.pending = outcome.update && pendingFrom(outcome.update, true);
      state.ledger = outcome.ledger;
      return;
    case "prepare":
      state.prepared = true;
      return;
    case "load-checkpoint":
      if (job.kind === "load-checkpoint") onCheckpointLoaded(turn, job, outcome);
      return;
    case "list-rounds":
      if (job.kind === "list-rounds" && !onRoundsListed(turn, job, outcome)) {
        tryAgain(turn, `the coordinator did not list round ${job.from}`);
      }
      return;
    case "follow":
      if (job.kind === "follow") onFollowed(turn, job, outcome);
      return;
    case "evaluate":
    case "train":
    case "encode":
      onWorkDone(turn, outcome);
      return;
    case "keep-update":
      if (job.kind === "keep-update") state.pending = pendingFrom(job.stored, false);
      state.work = null;
      state.trainingFailures = 0;
      return;
    case "upload":
      onUploaded(turn);
      return;
    case "settle":
      if (job.kind === "settle") state.ledger = job.ledger;
      state.pending = null;
      return;
    case "save":
      exit(turn, leaveEnd());
  }
}

export function onFailed(turn: Turn, id: number, failure: Failure): void {
  const { state } = turn;
  const { job } = state;
  if (job?.id !== id) return;
  state.job = null;
  const { sentence, transient, code } = failure;
  switch (job.job.kind) {
    case "evaluate":
      onEvaluationFailed(turn, sentence);
      return;
    case "train":
    case "encode":
      onTrainingFailed(turn, sentence);
      return;
    case "restore":
    case "keep-update":
    case "settle":
      endWith(turn, "storage-failed", `What must not be lost could not be written: ${sentence}`);
      return;
    case "save":
      exit(turn, leaveEnd());
      return;
    case "prepare":
      if (transient) tryAgain(turn, sentence);
      else endWith(turn, unpreparedBy(code), `This device cannot train the run: ${sentence}`);
      return;
    case "upload":
      if (code === "auth/session") reconnect(turn, sentence);
      else if (transient || code === "blob/quota") tryAgain(turn, sentence);
      else refuse(turn, sentence);
      return;
    case "load-checkpoint":
    case "list-rounds":
      onFetchFailed(turn, failure);
      return;
    case "follow":
      if (transient || code !== null) onFetchFailed(turn, failure);
      else endWith(turn, "diverged", `An aggregate could not be applied: ${sentence}`);
  }
}

/** Another try would need as much memory; another failure may pass with a restart. */
function unpreparedBy(code: Failure["code"]): EndReason {
  return code === MEMORY_LIMIT ? "unsupported" : "compute-failed";
}

/** What was asked for may be gone since the welcome: a new one says where things are now. */
function onFetchFailed(turn: Turn, { transient, code, sentence }: Failure): void {
  if (transient || turn.state.link !== "joined") tryAgain(turn, sentence);
  else if (code === "blob/sealed") tryAgain(turn, sentence);
  else reconnect(turn, sentence);
}

function tryAgain(turn: Turn, sentence: string): void {
  const { state } = turn;
  const waitMs = jitterMs(turn, AGAIN_STREAM, state.jobFailures);
  if (state.jobFailures === 0) notice(turn, `${sentence}. Trying again.`);
  state.jobFailures += 1;
  state.waiting = true;
  state.trouble = sentence;
  arm(turn, "again", waitMs);
}

export function onAgain({ state }: Turn): void {
  state.waiting = false;
}
