// RunStatus: what people see of a run while it goes (GET /runs/:id). Not state: nothing decides by
// it.
import { defined } from "@manyhands/base/assert";
import { positionOf } from "@manyhands/protocol/due";
import type { FinishReason, Numerics, Tick } from "@manyhands/protocol/events";
import type { WorkerId } from "@manyhands/protocol/keys";
import { POSITION_END } from "@manyhands/protocol/limits";
import type { ClientMessage } from "@manyhands/protocol/messages";
import type { Budget } from "@manyhands/protocol/run-config";
import type { Phase, RunState } from "@manyhands/protocol/state";
import type { History, HistoryPoint } from "./history.ts";

export type Heartbeat = Extract<ClientMessage, { type: "heartbeat" }>;

export type Traffic = {
  /** From workers. */
  readonly bytesUp: number;
  /** To workers. */
  readonly bytesDown: number;
};

export type WorkerStatus = Traffic & {
  readonly workerId: WorkerId;
  readonly name: string;
  readonly numerics: Numerics;
  readonly active: boolean;
  readonly connected: boolean;
  /** Tokens of its accepted and closed updates. */
  readonly credit: number;
  readonly updateCount: number;
  /** Account that its credit is paid to, 20 bytes in hex; null: none was named yet. */
  readonly payTo: string | null;
  readonly doing: Heartbeat["doing"];
  readonly innerStep: number;
  readonly innerSteps: number;
  readonly tokensPerSecond: number;
};

/** One point of a curve: a loss in nats per token, after so many tokens of the run. */
export type LossPoint = { readonly round: number; readonly tokens: number; readonly loss: number };

export type RunStatus = {
  readonly runId: string;
  readonly name: string;
  readonly phase: Phase;
  /** The open round, or the next one. */
  readonly round: number;
  /** Schedule's position, in millionths of the budget. */
  readonly position: number;
  readonly tick: Tick;
  readonly tokensCommitted: number;
  readonly budget: Budget;
  readonly trainingMs: number;
  /** Over the newest rounds; 0 before the first. */
  readonly tokensPerSecond: number;
  readonly etaMs: number | null;
  readonly trainLoss: readonly LossPoint[];
  readonly evaluationLoss: readonly LossPoint[];
  readonly workers: readonly WorkerStatus[];
  readonly traffic: Traffic;
  /** Refused messages and uploads since this process began, by code. */
  readonly rejects: { readonly [code: string]: number };
  readonly stateRoot: string;
  readonly parameters: number;
  readonly finishReason: FinishReason | null;
  /** The owner asked for a pause or a stop that takes effect at the round's end. */
  readonly wish: "pause" | "stop" | null;
  /** What holds this coordinator up (a full disk, for instance); null if nothing does. */
  readonly trouble: string | null;
};

/** What only the live process knows. */
export type LiveFacts = {
  readonly heartbeats: ReadonlyMap<WorkerId, Heartbeat>;
  readonly connected: ReadonlySet<WorkerId>;
  readonly rejects: ReadonlyMap<string, number>;
  readonly wish: "pause" | "stop" | null;
  readonly trouble: string | null;
};

export type TrafficByWorker = {
  readonly total: Traffic;
  readonly workers: ReadonlyMap<WorkerId, Traffic>;
};

export const NO_TRAFFIC: TrafficByWorker = {
  total: { bytesUp: 0, bytesDown: 0 },
  workers: new Map(),
};

/** Rounds that the recent speed is taken over. */
const RECENT_ROUNDS = 5;
const POINTS_TOLD = 256;

export function statusOf(
  state: RunState,
  history: History,
  live: LiveFacts,
  traffic: TrafficByWorker,
): RunStatus {
  const { run } = state;
  const recent = history.points.slice(-RECENT_ROUNDS);
  return {
    runId: state.runId,
    name: run.name,
    phase: state.phase,
    round: state.roundsClosed,
    position: positionOf(state),
    tick: state.tick,
    tokensCommitted: state.tokensCommitted,
    budget: run.budget,
    trainingMs: state.trainingMs,
    tokensPerSecond: recentTokensPerSecond(recent),
    etaMs: etaMs(state, recent),
    trainLoss: lossPoints(history.points, "trainLoss"),
    evaluationLoss: lossPoints(history.points, "evaluationLoss"),
    workers: workerStatuses(state, live, traffic),
    traffic: traffic.total,
    rejects: Object.fromEntries([...live.rejects].sort(([a], [b]) => (a < b ? -1 : 1))),
    stateRoot: state.stateRoot,
    parameters: run.fragments.reduce(
      (total, { shape }) => total + shape.reduce((product, size) => product * size, 1),
      0,
    ),
    finishReason: state.finishReason,
    wish: live.wish,
    trouble: live.trouble,
  };
}

function workerStatuses(
  state: RunState,
  live: LiveFacts,
  traffic: TrafficByWorker,
): readonly WorkerStatus[] {
  return [...state.workers.values()].map((worker) => {
    const heartbeat = live.heartbeats.get(worker.workerId);
    const bytes = traffic.workers.get(worker.workerId) ?? { bytesUp: 0, bytesDown: 0 };
    return {
      workerId: worker.workerId,
      name: worker.join.name,
      numerics: worker.join.numerics,
      active: worker.active,
      connected: live.connected.has(worker.workerId),
      credit: worker.credit,
      updateCount: worker.updateCount,
      payTo: worker.join.payout?.account ?? null,
      doing: heartbeat?.doing ?? "waiting",
      innerStep: heartbeat?.innerStep ?? 0,
      innerSteps: heartbeat?.innerSteps ?? 0,
      tokensPerSecond: heartbeat?.tokensPerSecond ?? 0,
      ...bytes,
    };
  });
}

function lossPoints(
  points: readonly HistoryPoint[],
  curve: "trainLoss" | "evaluationLoss",
): readonly LossPoint[] {
  const out: LossPoint[] = [];
  for (const point of points) {
    const loss = point[curve];
    // Training loss is of the round's work, the evaluation of the weights that it started from.
    const tokens = curve === "trainLoss" ? point.tokens : point.tokensBefore;
    if (loss !== null) out.push({ round: point.round, tokens, loss });
  }
  return out.slice(-POINTS_TOLD);
}

function recentTokensPerSecond(recent: readonly HistoryPoint[]): number {
  const first = recent[0];
  if (!first) return 0;
  const last = defined(recent.at(-1), "a list with a first has a last");
  const ms = last.closedAt - first.openedAt;
  return ms <= 0 ? 0 : Math.round(((last.tokens - first.tokensBefore) * 1_000) / ms);
}

/** At the speed at which the schedule moved over the newest rounds. */
function etaMs(state: RunState, recent: readonly HistoryPoint[]): number | null {
  if (state.phase === "finished") return 0;
  const first = recent[0];
  if (!first) return null;
  const position = positionOf(state);
  const moved = position - first.position;
  const last = defined(recent.at(-1), "a list with a first has a last");
  const ms = last.closedAt - first.openedAt;
  return moved <= 0 ? null : Math.round(((POSITION_END - position) * ms) / moved);
}
