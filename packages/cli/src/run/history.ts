// The story of a run, told by its log: rounds, losses, who gave what. A pure fold over events that the
// protocol has accepted; it checks nothing (that is `verify`).
import type { FinishReason, Numerics, RunEvent } from "@manyhands/protocol/events";
import type { WorkerId } from "@manyhands/protocol/keys";
import type { Phase } from "@manyhands/protocol/state";

const MICRO = 1e-6;

/** One accepted update, seen from the round that took it. */
export type ContributionFacts = {
  readonly workerId: WorkerId;
  readonly tokens: number;
  readonly innerSteps: number;
  readonly bytes: number;
  readonly trainLoss: number;
  /** Trained for an earlier round than the one that took it. */
  readonly isLate: boolean;
};

export type RoundFacts = {
  readonly round: number;
  readonly openedAt: number;
  readonly closedAt: number;
  /** Tokens of the run before this round. */
  readonly tokensBefore: number;
  readonly tokens: number;
  readonly position: number;
  /** Mean over the round's contributions, weighted by tokens; null when nobody contributed. */
  readonly trainLoss: number | null;
  readonly contributions: readonly ContributionFacts[];
  /** Bytes of the aggregate that every worker fetches. */
  readonly aggregateBytes: number;
};

/** The workers' shared evaluation of the weights that a round started from, on some windows. */
export type ValidationPoint = {
  readonly round: number;
  readonly tokensBefore: number;
  readonly loss: number;
  readonly tokens: number;
};

export type WorkerFacts = {
  readonly workerId: WorkerId;
  readonly name: string;
  readonly numerics: Numerics;
  readonly joinedAt: number;
  readonly isActive: boolean;
  readonly tokens: number;
  readonly updates: number;
  readonly lateUpdates: number;
  /** Of its accepted update blobs alone; traffic at the socket is the coordinator's to count. */
  readonly updateBytes: number;
};

type OpenRound = { round: number; openedAt: number; tokensBefore: number; position: number };

/** Mutable while it is folded; readers get it as `RunHistory`. */
type Draft = {
  createdAt: number;
  endedAt: number;
  phase: Phase;
  open: OpenRound | null;
  pending: ContributionFacts[];
  closing: ContributionFacts[];
  rounds: RoundFacts[];
  validation: ValidationPoint[];
  workers: Map<WorkerId, WorkerFacts>;
  /** Tokens of the run at the opening of each round: where a validation point stands. */
  opened: Map<number, number>;
  tokens: number;
  finishReason: FinishReason | null;
};

export type RunHistory = Readonly<Omit<Draft, "rounds" | "validation" | "workers" | "opened">> & {
  readonly rounds: readonly RoundFacts[];
  readonly validation: readonly ValidationPoint[];
  readonly workers: ReadonlyMap<WorkerId, WorkerFacts>;
};

/** The fold. Its `history` is live: the same object, newer after each `add`. */
export class HistoryFold {
  readonly #draft: Draft = {
    createdAt: 0,
    endedAt: 0,
    phase: "waiting",
    open: null,
    pending: [],
    closing: [],
    rounds: [],
    validation: [],
    workers: new Map(),
    opened: new Map(),
    tokens: 0,
    finishReason: null,
  };

  get history(): RunHistory {
    return this.#draft;
  }

  /** @param workerIdOfJoin names the worker of a WorkerJoined (protocol/keys) */
  add(
    event: RunEvent,
    workerIdOfJoin: (event: RunEvent & { type: "WorkerJoined" }) => WorkerId,
  ): void {
    const draft = this.#draft;
    draft.endedAt = event.tick;
    switch (event.type) {
      case "RunCreated":
        draft.createdAt = event.tick;
        return;
      case "WorkerJoined":
        addWorker(draft, event, workerIdOfJoin(event));
        return;
      case "WorkerLeft":
        changeWorker(draft, event.workerId, () => ({ isActive: false }));
        return;
      case "RoundOpened":
        openRound(draft, event);
        return;
      case "UpdateCommitted":
        addUpdate(draft, event);
        return;
      case "CommitmentsClosed":
        draft.phase = "closing";
        draft.closing = draft.pending;
        draft.pending = [];
        return;
      case "RoundClosed":
        closeRound(draft, event);
        return;
      case "RunPaused":
        draft.phase = "paused";
        return;
      case "RunResumed":
        draft.phase = "waiting";
        return;
      case "RunFinished":
        draft.phase = "finished";
        draft.finishReason = event.reason;
        return;
      default:
        event satisfies never;
    }
  }
}

function addWorker(
  draft: Draft,
  event: RunEvent & { type: "WorkerJoined" },
  workerId: WorkerId,
): void {
  const known = draft.workers.get(workerId);
  const { name, numerics } = event.join;
  draft.workers.set(workerId, {
    ...(known ?? { joinedAt: event.tick, tokens: 0, updates: 0, lateUpdates: 0, updateBytes: 0 }),
    workerId,
    name,
    numerics,
    isActive: true,
  });
}

function changeWorker(
  draft: Draft,
  workerId: WorkerId,
  change: (worker: WorkerFacts) => Partial<WorkerFacts>,
): void {
  const worker = draft.workers.get(workerId);
  if (worker) draft.workers.set(workerId, { ...worker, ...change(worker) });
}

function openRound(draft: Draft, event: RunEvent & { type: "RoundOpened" }): void {
  draft.phase = "training";
  draft.opened.set(event.round, event.tokensCommitted);
  draft.open = {
    round: event.round,
    openedAt: event.tick,
    tokensBefore: event.tokensCommitted,
    position: event.position,
  };
}

function addUpdate(draft: Draft, event: RunEvent & { type: "UpdateCommitted" }): void {
  const { update, workerId } = event;
  const current = draft.open?.round ?? draft.rounds.length;
  const isLate = draft.phase === "closing" || update.round < current;
  draft.pending.push({
    workerId,
    tokens: update.tokens,
    innerSteps: update.innerSteps,
    bytes: update.updateBytes,
    trainLoss: update.metrics.trainLossMicronats * MICRO,
    isLate,
  });
  changeWorker(draft, workerId, (worker) => ({
    tokens: worker.tokens + update.tokens,
    updates: worker.updates + 1,
    lateUpdates: worker.lateUpdates + (isLate ? 1 : 0),
    updateBytes: worker.updateBytes + update.updateBytes,
  }));
  const { evaluation } = update.metrics;
  if (evaluation) addEvaluation(draft, update.round, evaluation);
}

/** Shares of one evaluation come with the updates of several workers; they make one point. */
function addEvaluation(
  draft: Draft,
  round: number,
  share: { readonly lossMicronats: number; readonly tokens: number },
): void {
  const at = draft.validation.findIndex((point) => point.round === round);
  const before = draft.validation[at];
  const tokens = (before?.tokens ?? 0) + share.tokens;
  const sum = (before?.loss ?? 0) * (before?.tokens ?? 0);
  const loss = (sum + share.lossMicronats * MICRO * share.tokens) / tokens;
  const tokensBefore = draft.opened.get(round) ?? 0;
  const point = { round, tokensBefore, loss, tokens };
  if (before) draft.validation[at] = point;
  else draft.validation.push(point);
  draft.validation.sort((a, b) => a.round - b.round); // a late share may belong to an older round
}

function closeRound(draft: Draft, event: RunEvent & { type: "RoundClosed" }): void {
  const contributions = draft.closing;
  const tokens = contributions.reduce((sum, each) => sum + each.tokens, 0);
  const weighted = contributions.reduce((sum, each) => sum + each.tokens * each.trainLoss, 0);
  draft.rounds.push({
    round: event.round,
    openedAt: draft.open?.openedAt ?? event.tick,
    closedAt: event.tick,
    tokensBefore: draft.open?.tokensBefore ?? draft.tokens,
    position: draft.open?.position ?? 0,
    tokens,
    trainLoss: tokens > 0 ? weighted / tokens : null,
    contributions,
    aggregateBytes: event.aggregate?.byteLength ?? 0,
  });
  draft.tokens += tokens;
  draft.phase = "waiting";
  draft.open = null;
  draft.closing = [];
}
