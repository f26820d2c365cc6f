// The reducer's memory and the few verbs that every chapter uses. Changed only inside
// WorkerCore.handle. Not the decisions: those are the chapters session, follow, round and update.

import { Random } from "@manyhands/base/random";
import { fullJitterMs } from "@manyhands/net/backoff";
import type { SigningKey } from "@manyhands/protocol/keys";
import type { ClientMessage, ClosedRound, RoundInfo } from "@manyhands/protocol/messages";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { EMPTY_LEDGER, type Ledger, type WeightsName } from "./stored.ts";
import type {
  AssignedRound,
  Checkpoint,
  CoreConfig,
  EndReason,
  Job,
  Now,
  OutcomeOf,
  PendingUpdate,
  TimerName,
  WorkerEffect,
  WorkerEnd,
} from "./types.ts";

/** One round's work between its assignment and a durable update. */
export type Work = {
  readonly round: AssignedRound;
  stage: "evaluate" | "train" | "encode" | "keep";
  evaluation: { readonly lossMicronats: number; readonly tokens: number } | null;
  training: OutcomeOf<"train"> | null;
  encoded: OutcomeOf<"encode"> | null;
  /** The round has gone too far: whatever comes out is dropped. */
  abandoned: boolean;
};

export type Progress = {
  readonly innerStep: number;
  readonly innerSteps: number;
  readonly loss: number | null;
  readonly tokensPerSecond: number;
};

export type CoreState = {
  link: "down" | "opening" | "greeting" | "joining" | "joined";
  /** Connections in a row that did not lead to a welcome. */
  attempts: number;
  /** Why we are not connected, in the link's words. */
  linkTrouble: string;
  everJoined: boolean;
  /** When a newer connection with our key last replaced ours; null if none did. */
  replacedAt: Now | null;
  heartbeatAt: Now;
  lastDoing: string;
  paused: boolean;

  run: FrozenRun | null;
  /** Keys whose signatures receipts must carry: the first welcome's, for good. */
  authority: readonly SigningKey[];
  restored: boolean;
  prepared: boolean;

  /**
   * The weights that the replica holds; `confirmed`: they are the coordinator's state after those
   * rounds.
   */
  local: (WeightsName & { confirmed: boolean }) | null;
  checkpoint: Checkpoint | null;
  /** Closed rounds that we know of and still need, by number. */
  known: Map<number, ClosedRound>;
  /** Rounds closed as far as we know. */
  roundsClosed: number;

  round: RoundInfo | null;
  work: Work | null;
  pending: PendingUpdate | null;
  ledger: Ledger;
  /** Trainings in a row that gave nothing usable. */
  trainingFailures: number;

  job: { readonly id: number; readonly job: Job } | null;
  jobsStarted: number;
  /** Transient failures in a row; while `waiting`, no job starts until the timer `again`. */
  jobFailures: number;
  waiting: boolean;
  trouble: string | null;

  progress: Progress;
  lastReject: { readonly code: string; readonly message: string } | null;
  /** Asked to leave politely. */
  leaving: boolean;
  /** How it will end, once what must not be lost is safe. */
  ending: WorkerEnd | null;
  ended: WorkerEnd | null;
};

export function initialState(): CoreState {
  return {
    link: "down",
    attempts: 0,
    linkTrouble: "",
    everJoined: false,
    replacedAt: null,
    heartbeatAt: 0,
    lastDoing: "waiting",
    paused: false,
    run: null,
    authority: [],
    restored: false,
    prepared: false,
    local: null,
    checkpoint: null,
    known: new Map(),
    roundsClosed: 0,
    round: null,
    work: null,
    pending: null,
    ledger: EMPTY_LEDGER,
    trainingFailures: 0,
    job: null,
    jobsStarted: 0,
    jobFailures: 0,
    waiting: false,
    trouble: null,
    progress: { innerStep: 0, innerSteps: 0, loss: null, tokensPerSecond: 0 },
    lastReject: null,
    leaving: false,
    ending: null,
    ended: null,
  };
}

/** One call of handle: the state, the time, and the effects so far. */
export type Turn = {
  readonly config: CoreConfig;
  readonly state: CoreState;
  readonly now: Now;
  readonly effects: WorkerEffect[];
};

export function send(turn: Turn, message: ClientMessage): void {
  turn.effects.push({ kind: "send", message });
}

export function arm(turn: Turn, timer: TimerName, afterMs: number | null): void {
  turn.effects.push({ kind: "timer", timer, at: afterMs === null ? null : turn.now + afterMs });
}

export function notice(turn: Turn, sentence: string): void {
  turn.effects.push({ kind: "notice", sentence });
}

/** A wait with full jitter. The stream keeps waits for links and for jobs apart. */
export function jitterMs(turn: Turn, stream: number, failures: number): number {
  const { seed, reconnect = { baseMs: 500, capMs: 15_000 } } = turn.config;
  const draws = new Random(seed, stream);
  let unit = draws.unit();
  for (let i = 0; i < Math.min(failures, 64); i++) unit = draws.unit();
  return fullJitterMs(reconnect, failures, unit);
}

/** Ends the worker once nothing that matters is in flight; the first reason given stays. */
export function endWith(turn: Turn, reason: EndReason, sentence: string, code?: string): void {
  turn.state.ending ??= { reason, sentence, code: code ?? null };
}
