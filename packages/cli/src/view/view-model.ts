// What the live view shows, as plain data, and how it follows from a run's history. Pure.
import type { RunHistory } from "../run/history.ts";

export type WorkerRow = {
  readonly name: string;
  /** One word or a short sentence: training, uploading, gone, restarting … */
  readonly state: string;
  /** Share of the assigned inner steps that is done; null when it is not training. */
  readonly progress: number | null;
  readonly tokensPerSecond: number;
  readonly tokens: number;
  readonly isActive: boolean;
};

export type RunView = {
  readonly name: string;
  readonly runId: string;
  readonly folder: string;
  readonly joinUrl: string;
  readonly phase: string;
  /** The open round, or the next one. */
  readonly round: number;
  readonly roundsClosed: number;
  readonly tokens: number;
  readonly tokensBudget: number | null;
  readonly trainingMs: number;
  readonly trainingMsBudget: number | null;
  readonly elapsedMs: number;
  readonly tokensPerSecond: number;
  readonly trainLosses: readonly number[];
  readonly valLoss: number | null;
  readonly valLossRound: number | null;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly workers: readonly WorkerRow[];
  /** What the person should know now: a restart, a pause, that Ctrl-C was heard. */
  readonly notice: string | null;
};

/** What the log does not know: traffic, processes, addresses. */
export type LiveFacts = Pick<
  RunView,
  "folder" | "joinUrl" | "bytesUp" | "bytesDown" | "workers" | "notice" | "elapsedMs"
> & {
  readonly run: {
    readonly name: string;
    readonly budget: { readonly tokens: number | null; readonly minutes: number | null };
  };
  readonly runId: string;
  /** By the coordinator's clock: the open round counts up to here. */
  readonly now: number;
};

/** Rounds that the speed is the mean of. */
const SPEED_ROUNDS = 10;

export function viewOf(history: RunHistory, live: LiveFacts): RunView {
  const { rounds, open, validation } = history;
  const closedMs = rounds.reduce((sum, round) => sum + round.closedAt - round.openedAt, 0);
  const openMs = open ? Math.max(0, live.now - open.openedAt) : 0;
  const { tokens, minutes } = live.run.budget;
  const newest = validation.at(-1);
  return {
    name: live.run.name,
    runId: live.runId,
    folder: live.folder,
    joinUrl: live.joinUrl,
    phase: history.phase,
    round: open?.round ?? rounds.length,
    roundsClosed: rounds.length,
    tokens: history.tokens,
    tokensBudget: tokens,
    trainingMs: closedMs + openMs,
    trainingMsBudget: minutes === null ? null : minutes * 60_000,
    elapsedMs: live.elapsedMs,
    tokensPerSecond: recentSpeed(history),
    trainLosses: rounds.flatMap((round) => (round.trainLoss === null ? [] : [round.trainLoss])),
    valLoss: newest?.loss ?? null,
    valLossRound: newest?.round ?? null,
    bytesUp: live.bytesUp,
    bytesDown: live.bytesDown,
    workers: live.workers,
    notice: live.notice,
  };
}

/** Tokens per second over the newest rounds, pauses between them included. */
function recentSpeed(history: RunHistory): number {
  const recent = history.rounds.slice(-SPEED_ROUNDS);
  const first = recent[0];
  const last = recent.at(-1);
  if (!first || !last || last.closedAt <= first.openedAt) return 0;
  const tokens = recent.reduce((sum, round) => sum + round.tokens, 0);
  return (tokens * 1_000) / (last.closedAt - first.openedAt);
}

/** Done share of the budget: the one of tokens and minutes that ends the run first. */
export function doneShare(view: RunView): number {
  const byTokens = view.tokensBudget === null ? 0 : view.tokens / view.tokensBudget;
  const byTime = view.trainingMsBudget === null ? 0 : view.trainingMs / view.trainingMsBudget;
  return Math.min(1, Math.max(byTokens, byTime));
}

/** Time to the end of training by the pace so far; null before there is a pace. */
export function etaMs(view: RunView): number | null {
  if (view.phase === "finished") return 0;
  const ways: number[] = [];
  if (view.tokensBudget !== null && view.tokensPerSecond > 0) {
    ways.push(((view.tokensBudget - view.tokens) / view.tokensPerSecond) * 1_000);
  }
  if (view.trainingMsBudget !== null && view.roundsClosed > 0) {
    ways.push(view.trainingMsBudget - view.trainingMs);
  }
  return ways.length === 0 ? null : Math.max(0, Math.min(...ways));
}
