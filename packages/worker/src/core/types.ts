// What goes into the worker's reducer and what comes out: inputs, effects, jobs and ends, as plain
// data. No logic, no arrays of weights: those are in the replica, which the host holds.

import type { Numerics, Update } from "@manyhands/protocol/events";
import type { ExchangeKey, Payout, SigningKey, WorkerId } from "@manyhands/protocol/keys";
import type {
  Assignment,
  ClientMessage,
  ClosedRound,
  RoundInfo,
  ServerMessage,
  ServerMessageOf,
} from "@manyhands/protocol/messages";
import type { FrozenRun, RunId } from "@manyhands/protocol/run-config";
import type { Ledger, StoredUpdate, WeightsName } from "./stored.ts";

/** Milliseconds of any clock that does not run backwards. */
export type Now = number;

export type Identity = {
  readonly workerId: WorkerId;
  readonly signingKey: SigningKey;
  readonly exchangeKey: ExchangeKey;
  /** Ed25519 signature in hex; the same bytes always give the same signature. */
  readonly sign: (bytes: Uint8Array) => string;
};

/** Is this the key's signature over the bytes? False for a key or signature that is none. */
export type VerifySignature = (key: SigningKey, bytes: Uint8Array, signature: string) => boolean;

export type CoreConfig = {
  readonly runId: RunId;
  /** Admission token of the join URL. */
  readonly token: string;
  /** What a person calls this device. */
  readonly name: string;
  readonly identity: Identity;
  readonly verify: VerifySignature;
  readonly numerics: Numerics;
  /** Whom its credit is paid to. Left out: it only counts. */
  readonly payout?: Payout;
  /** For the jitter of waits only. */
  readonly seed: number;
  readonly reconnect?: { readonly baseMs: number; readonly capMs: number };
};

export type Checkpoint = ServerMessageOf<"welcome">["checkpoint"];
export type Receipt = ServerMessageOf<"receipt">;
/** A round in which this worker has something to do. */
export type AssignedRound = RoundInfo & { readonly assignment: Assignment };

/** Work outside the reducer. At most one job runs at a time. */
export type Job =
  /** Read what an earlier process left in the run's folder. */
  | { readonly kind: "restore"; readonly run: FrozenRun }
  /** Get the data set and build the compute graphs. */
  | { readonly kind: "prepare"; readonly run: FrozenRun }
  | { readonly kind: "load-checkpoint"; readonly checkpoint: Checkpoint }
  | { readonly kind: "list-rounds"; readonly from: number }
  /** Fetch a closed round's aggregate and take its outer step. */
  | { readonly kind: "follow"; readonly closed: ClosedRound; readonly isNewest: boolean }
  | { readonly kind: "evaluate"; readonly windows: readonly number[] }
  | { readonly kind: "train"; readonly round: AssignedRound }
  /** Compress the pseudo-gradient of the last training with the residual. */
  | { readonly kind: "encode"; readonly round: number }
  /** Make the finished update durable before anybody hears of it. */
  | { readonly kind: "keep-update"; readonly stored: StoredUpdate }
  | { readonly kind: "upload"; readonly root: string }
  /** The update was answered: move the residual on, durably. */
  | {
      readonly kind: "settle";
      readonly answer: Answer;
      readonly ledger: Ledger;
      readonly receipt: Receipt | null;
    }
  /** Keep the optimiser's state for the next start. */
  | { readonly kind: "save" };
export type JobKind = Job["kind"];

/**
 * accepted: it counts · refused: it does not, and goes back into the residual as a whole ·
 * unusable: its bytes are no update, so the residual that shaped them is dropped too.
 */
export type Answer = "accepted" | "refused" | "unusable";

export type Outcome =
  | {
      readonly kind: "restore";
      readonly weights: WeightsName | null;
      readonly update: StoredUpdate | null;
      readonly ledger: Ledger;
    }
  | { readonly kind: "prepare" }
  | { readonly kind: "load-checkpoint"; readonly weightsRoot: string }
  | { readonly kind: "list-rounds"; readonly rounds: readonly ClosedRound[] }
  | { readonly kind: "follow"; readonly weightsRoot: string }
  | { readonly kind: "evaluate"; readonly lossMicronats: number; readonly tokens: number }
  | {
      readonly kind: "train";
      /** Fewer than assigned when training was stopped early; 0 when nothing was done. */
      readonly innerSteps: number;
      readonly lossMicronats: number;
      readonly innerStepMicros: number;
    }
  | {
      readonly kind: "encode";
      readonly updateRoot: string;
      readonly updateBytes: number;
      readonly residualBefore: string;
      readonly residualAfter: string;
    }
  | { readonly kind: "keep-update" }
  | { readonly kind: "upload" }
  | { readonly kind: "settle" }
  | { readonly kind: "save" };
export type OutcomeOf<K extends JobKind> = Extract<Outcome, { kind: K }>;

export type Failure = {
  readonly sentence: string;
  /** Could the same job succeed later, with nothing changed here? */
  readonly transient: boolean;
  /** The protocol's code, when a peer refused; MEMORY_LIMIT when this device is too small. */
  readonly code: string | null;
};

/** The code of a run that does not fit in the memory that this worker may take. */
export const MEMORY_LIMIT = "device/memory";

export type TimerName =
  | "reconnect"
  | "greeting"
  | "heartbeat"
  | "silence"
  | "answer"
  | "again"
  | "leave";

export type StopMode = "graceful" | "force";

export type WorkerInput =
  | { readonly kind: "started" }
  | { readonly kind: "connected" }
  | {
      readonly kind: "disconnected";
      readonly why: string;
      /** WebSocket close code. */
      readonly code: number;
      /** Status of a server that answered with plain HTTP. */
      readonly httpStatus: number | null;
    }
  | { readonly kind: "message"; readonly message: ServerMessage }
  | { readonly kind: "timer"; readonly timer: TimerName }
  | {
      readonly kind: "progress";
      readonly innerStep: number;
      readonly loss: number;
      readonly tokensPerSecond: number;
    }
  | { readonly kind: "done"; readonly id: number; readonly outcome: Outcome }
  | { readonly kind: "failed"; readonly id: number; readonly failure: Failure }
  | { readonly kind: "stop"; readonly mode: StopMode };

export type WorkerEffect =
  | { readonly kind: "connect" }
  /** Close the connection; a `disconnected` input follows only if the link reports one. */
  | { readonly kind: "disconnect" }
  | { readonly kind: "send"; readonly message: ClientMessage }
  /** Bearer of blob requests from now on. */
  | { readonly kind: "session"; readonly token: string | null }
  /** (Re)arm a timer; null cancels it. */
  | { readonly kind: "timer"; readonly timer: TimerName; readonly at: Now | null }
  | { readonly kind: "job"; readonly id: number; readonly job: Job }
  /** Ask the running training to stop after its current inner step. */
  | { readonly kind: "stop-training" }
  /** Forget the optimiser's momentum: it led to a loss that is not a number. */
  | { readonly kind: "reset-optimizer" }
  /** Something that a person may want to read. */
  | { readonly kind: "notice"; readonly sentence: string }
  | { readonly kind: "exit"; readonly end: WorkerEnd };

/**
 * finished: the run is over · stopped: asked to, politely · forced: asked to, at once ·
 * protocol-mismatch and kernel-mismatch: another version · unknown-run · token: not admitted ·
 * run-finished: it was over before we came · refused: the coordinator says that we broke the
 * protocol · replaced: another process uses this device's key · diverged: our weights are not the
 * coordinator's · unsupported: the run needs what this version or device lacks · compute-failed:
 * this device's results are unusable · storage-failed: the folder cannot be written.
 */
export type EndReason =
  | "finished"
  | "stopped"
  | "forced"
  | "protocol-mismatch"
  | "kernel-mismatch"
  | "unknown-run"
  | "token"
  | "run-finished"
  | "refused"
  | "replaced"
  | "diverged"
  | "unsupported"
  | "compute-failed"
  | "storage-failed";

export type WorkerEnd = {
  readonly reason: EndReason;
  readonly sentence: string;
  /** The protocol's code behind it, if there is one. */
  readonly code: string | null;
};

/** An update on its way: kept until it is answered. */
export type PendingUpdate = {
  readonly update: Update;
  readonly signature: string;
  /**
   * stored: not sent on this connection · uploaded: the coordinator has the bytes · committed:
   * waiting for the answer · an answer: not yet settled.
   */
  stage: "stored" | "uploaded" | "committed" | Answer;
  /** The bytes may be there from before: try to commit without sending them again. */
  maybeUploaded: boolean;
  uploads: number;
  /** Commits on this connection that nobody answered. */
  unanswered: number;
  receipt: Receipt | null;
};
