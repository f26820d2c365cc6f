// The state of one run, as plain immutable data, and what a transition returns.
// No rule lives here: the fold is step.ts, what comes next is demand.ts.
import type { FinishReason, Join, Tick, Update } from "./events.ts";
import type { SigningKey, WorkerId } from "./keys.ts";
import type { Assignment, ServerMessage } from "./messages.ts";
import type { FrozenRun, RunId } from "./run-config.ts";

/**
 * waiting: no round is open · training: workers train and commit · closing: commitments are
 * closed, the aggregate is being computed · paused: the owner holds the run · finished.
 */
export type Phase = "waiting" | "training" | "closing" | "paused" | "finished";

export type WorkerRecord = {
  readonly workerId: WorkerId;
  readonly join: Join;
  readonly active: boolean;
  readonly joinedAt: Tick;
  /** Tokens of accepted updates, cumulative; never falls, also when the worker leaves. */
  readonly credit: number;
  readonly updateCount: number;
  /** From its newest update; null before the first. */
  readonly innerStepMicros: number | null;
};

/** An accepted update that waits for a close. */
export type Commitment = {
  readonly workerId: WorkerId;
  readonly update: Update;
  /** Hashed leaf of the update: what receipts and updatesRoot are made of. */
  readonly leaf: string;
};

export type RoundRecord = {
  readonly round: number;
  readonly openedAt: Tick;
  readonly baseRoot: string;
  readonly seed: string;
  readonly auditCommitment: string;
  readonly position: number;
  /** Where the schedule is expected to stand after this round. */
  readonly positionAfter: number;
  readonly assignments: ReadonlyMap<WorkerId, Assignment>;
  /** Who has committed for this round. */
  readonly committed: ReadonlySet<WorkerId>;
  /** When the quorum was reached; null before. */
  readonly quorumAt: Tick | null;
};

export type RunState = {
  readonly runId: RunId;
  readonly run: FrozenRun;
  readonly authority: readonly SigningKey[];
  readonly phase: Phase;
  readonly tick: Tick;
  /** When `waiting` began, or its first worker came: what rounds.waitMs counts from. */
  readonly waitingSince: Tick;
  readonly workers: ReadonlyMap<WorkerId, WorkerRecord>;
  /** Rounds closed so far = number of the next round. */
  readonly roundsClosed: number;
  readonly weightsRoot: string;
  readonly feedbackRoot: string;
  readonly stateRoot: string;
  /** The open round, or the one being closed. */
  readonly current: RoundRecord | null;
  /** Newest closed rounds, newest last, at most rounds.stalenessMax: for checking late updates. */
  readonly recent: readonly RoundRecord[];
  /** Commitments that the next close will take, in order of arrival. */
  readonly pending: readonly Commitment[];
  /** Commitments of the close in progress. */
  readonly closing: readonly Commitment[];
  readonly tokensCommitted: number;
  /** Next unassigned sample of the data order. */
  readonly sampleCursor: number;
  /** Sum of the rounds' durations, each at most roundMsMax: the clock of `budget.minutes`. */
  readonly trainingMs: number;
  readonly finishReason: FinishReason | null;
};

/** One update as the aggregation takes it, with its integer weight. */
export type Contribution = {
  /** Worker and zero-padded round, so that the order of ids is the order of contributions. */
  readonly id: string;
  readonly workerId: WorkerId;
  readonly round: number;
  readonly updateRoot: string;
  readonly updateBytes: number;
  /** tokens × the staleness factor in 1024ths: see stalenessFactor. */
  readonly weight: number;
};

/** What the coordinator has to bring about next. A restart derives it from the state again. */
export type Demand =
  | { readonly kind: "open-round" }
  | { readonly kind: "close-commitments"; readonly round: number }
  | {
      readonly kind: "aggregate";
      readonly round: number;
      readonly contributions: readonly Contribution[];
      readonly updatesRoot: string;
      readonly creditRoot: string;
    }
  | { readonly kind: "finish"; readonly reason: FinishReason }
  /** Nothing until an event comes, or until the tick `wakeAt`. */
  | { readonly kind: "wait"; readonly wakeAt: Tick | null };

export type Effect =
  | { readonly kind: "send"; readonly to: WorkerId; readonly message: ServerMessage }
  | { readonly kind: "broadcast"; readonly message: ServerMessage }
  /** Acknowledge a commitment; the log adds its sequence number, head and signature. */
  | { readonly kind: "receipt"; readonly to: WorkerId; readonly commitment: Commitment };

/** The host's clock, never behind the newest event: an event from the future is refused. */
export type Env = { readonly now: Tick };
export type Transition = { readonly state: RunState; readonly effects: readonly Effect[] };
