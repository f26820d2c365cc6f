// The log folded into curves: what each round gave, for status, report and bench. Not state:
// nothing decides by it.
import type { EventOf, RunEvent, Tick } from "@manyhands/protocol/events";
import type { WorkerId } from "@manyhands/protocol/keys";

/** One closed round. Losses are in nats per token. */
export type HistoryPoint = {
  readonly round: number;
  readonly openedAt: Tick;
  readonly closedAt: Tick;
  /** Schedule's position at its opening, in millionths of the budget. */
  readonly position: number;
  /** Tokens of the run before this round, and with it. */
  readonly tokensBefore: number;
  readonly tokens: number;
  /** Token-weighted mean over the round's contributions; null without any. */
  readonly trainLoss: number | null;
  /** Of the weights that this round started from; null if it was not evaluated. */
  readonly evaluationLoss: number | null;
  readonly evaluationTokens: number;
  readonly contributors: number;
  /** Contributions that were made for an earlier round. */
  readonly late: number;
  /** Bytes of the contributions, and of what everybody fetched once. */
  readonly updateBytes: number;
  readonly aggregateBytes: number;
};

export type WorkerHistory = {
  readonly workerId: WorkerId;
  readonly name: string;
  readonly tokens: number;
  readonly updates: number;
  readonly updateBytes: number;
};

type Evaluation = { readonly lossTokens: number; readonly tokens: number };

export type History = {
  readonly points: readonly HistoryPoint[];
  readonly workers: ReadonlyMap<WorkerId, WorkerHistory>;
  readonly open: EventOf<"RoundOpened"> | null;
  /** Commitments that no round has taken yet. */
  readonly pending: readonly EventOf<"UpdateCommitted">[];
  readonly closing: readonly EventOf<"UpdateCommitted">[];
  /** Evaluations of rounds that are still open. */
  readonly evaluations: ReadonlyMap<number, Evaluation>;
};

export const EMPTY_HISTORY: History = {
  points: [],
  workers: new Map(),
  open: null,
  pending: [],
  closing: [],
  evaluations: new Map(),
};

export type HistoryOptions = {
  /** How to name a worker by its signing key: protocol/keys.workerIdOf. */
  readonly nameWorker?: (event: EventOf<"WorkerJoined">) => WorkerId;
  /** Keep only so many newest points. */
  readonly pointsMax?: number;
};

const MICRO = 1e6;

/** The history after one more event. */
export function foldHistory(
  history: History,
  event: RunEvent,
  options: HistoryOptions = {},
): History {
  switch (event.type) {
    case "RoundOpened":
      return { ...history, open: event };
    case "WorkerJoined":
      return options.nameWorker ? withName(history, options.nameWorker(event), event) : history;
    case "UpdateCommitted":
      return withCommitment(history, event);
    case "CommitmentsClosed":
      return { ...history, closing: history.pending, pending: [] };
    case "RoundClosed":
      return withClose(history, event, options.pointsMax ?? Number.MAX_SAFE_INTEGER);
    case "RunCreated":
    case "WorkerLeft":
    case "RunPaused":
    case "RunResumed":
    case "RunFinished":
      return history;
  }
}

export function historyOf(events: Iterable<RunEvent>, options: HistoryOptions = {}): History {
  let history = EMPTY_HISTORY;
  for (const event of events) history = foldHistory(history, event, options);
  return history;
}

function withName(history: History, workerId: WorkerId, event: EventOf<"WorkerJoined">): History {
  const before = history.workers.get(workerId);
  const workers = new Map(history.workers);
  const nothing = { workerId, tokens: 0, updates: 0, updateBytes: 0 };
  workers.set(workerId, { ...(before ?? nothing), name: event.join.name });
  return { ...history, workers };
}

function withCommitment(history: History, event: EventOf<"UpdateCommitted">): History {
  const { update, workerId } = event;
  const before = history.workers.get(workerId);
  const workers = new Map(history.workers);
  workers.set(workerId, {
    workerId,
    name: before?.name ?? workerId.slice(0, 8),
    tokens: (before?.tokens ?? 0) + update.tokens,
    updates: (before?.updates ?? 0) + 1,
    updateBytes: (before?.updateBytes ?? 0) + update.updateBytes,
  });
  const next = { ...history, workers, pending: [...history.pending, event] };
  return update.metrics.evaluation ? withEvaluation(next, event) : next;
}

/** A share of an evaluation may come late, when its round has its point already. */
function withEvaluation(history: History, event: EventOf<"UpdateCommitted">): History {
  const { round, metrics } = event.update;
  const { evaluation } = metrics;
  if (!evaluation) return history;
  const share = { lossTokens: evaluation.lossMicronats * evaluation.tokens, ...evaluation };
  const at = history.points.findLastIndex((point) => point.round === round);
  const point = history.points[at];
  if (!point) {
    const before = history.evaluations.get(round);
    const evaluations = new Map(history.evaluations).set(round, {
      lossTokens: (before?.lossTokens ?? 0) + share.lossTokens,
      tokens: (before?.tokens ?? 0) + share.tokens,
    });
    return { ...history, evaluations };
  }
  const tokens = point.evaluationTokens + share.tokens;
  const lossBefore = (point.evaluationLoss ?? 0) * point.evaluationTokens;
  const evaluationLoss = (lossBefore + share.lossTokens / MICRO) / tokens;
  return {
    ...history,
    points: history.points.with(at, { ...point, evaluationLoss, evaluationTokens: tokens }),
  };
}

function withClose(history: History, event: EventOf<"RoundClosed">, pointsMax: number): History {
  const { open, closing, points } = history;
  if (!open) return history;
  const roundTokens = sum(closing, ({ update }) => update.tokens);
  const lossTokens = sum(
    closing,
    ({ update }) => update.metrics.trainLossMicronats * update.tokens,
  );
  const evaluation = history.evaluations.get(event.round);
  const evaluations = new Map(history.evaluations);
  evaluations.delete(event.round);
  const point: HistoryPoint = {
    round: event.round,
    openedAt: open.tick,
    closedAt: event.tick,
    position: open.position,
    tokensBefore: open.tokensCommitted,
    tokens: open.tokensCommitted + roundTokens,
    trainLoss: roundTokens === 0 ? null : lossTokens / roundTokens / MICRO,
    evaluationLoss: evaluation ? evaluation.lossTokens / evaluation.tokens / MICRO : null,
    evaluationTokens: evaluation?.tokens ?? 0,
    contributors: closing.length,
    late: closing.filter(({ update }) => update.round < event.round).length,
    updateBytes: sum(closing, ({ update }) => update.updateBytes),
    aggregateBytes: event.aggregate?.byteLength ?? 0,
  };
  return {
    ...history,
    open: null,
    closing: [],
    evaluations,
    points: [...points.slice(Math.max(0, points.length + 1 - pointsMax)), point],
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
