// What the page knows of a run: the plain data between the feed's thread and the screens.
// Not the protocol's state: that is folded from the log, and only the ledger does so.
import type { RunStatus } from "@manyhands/coordinator/status";
import type { FinishReason, LeaveReason, Numerics } from "@manyhands/protocol/events";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { Trouble } from "./http.ts";

/** Names of the columns of closed rounds, as GET /runs/:id/history gives them. */
export const ROUND_COLUMNS = [
  "round",
  "openedAt",
  "closedAt",
  "tokensBefore",
  "tokens",
  "trainLoss",
  "evaluationLoss",
  "contributors",
  "late",
  "updateBytes",
  "aggregateBytes",
  "closedRow",
] as const;

/** One array per column, one place per closed round. A missing loss is null. */
export type RoundColumns = {
  readonly [K in (typeof ROUND_COLUMNS)[number]]: readonly (number | null)[];
};

export type HistoryAnswer = {
  /** Rows of the log. */
  readonly rows: number;
  readonly columns: RoundColumns;
};

/** One line of the feed: an event of the log, with what a sentence about it needs. */
export type FeedEntry = { readonly sequence: number; readonly tick: number } & (
  | { readonly kind: "created" | "paused" | "resumed" | "gathered" }
  | { readonly kind: "joined"; readonly name: string; readonly numerics: Numerics }
  | { readonly kind: "left"; readonly workerId: string; readonly reason: LeaveReason }
  | { readonly kind: "opened" | "closed"; readonly round: number }
  | {
      readonly kind: "update";
      readonly workerId: string;
      readonly round: number;
      readonly tokens: number;
      readonly loss: number;
    }
  | { readonly kind: "finished"; readonly reason: FinishReason }
);

export type RunView = {
  readonly runId: string;
  readonly status: RunStatus | null;
  /** The frozen run; null until read, and for people without the join link. */
  readonly run: FrozenRun | null;
  readonly rounds: RoundColumns;
  /** Newest last. */
  readonly feed: readonly FeedEntry[];
  readonly trouble: Trouble | null;
  /** When the coordinator last answered, by this page's clock; null before the first answer. */
  readonly heardAt: number | null;
};

export const NO_ROUNDS: RoundColumns = {
  round: [],
  openedAt: [],
  closedAt: [],
  tokensBefore: [],
  tokens: [],
  trainLoss: [],
  evaluationLoss: [],
  contributors: [],
  late: [],
  updateBytes: [],
  aggregateBytes: [],
  closedRow: [],
};

/** What the feed's thread tells: only what is new. */
export type FeedNews = {
  readonly runId: string;
  readonly status?: RunStatus;
  readonly run?: FrozenRun;
  /** Rounds from `columns.round[0]` on: they replace what was known from there on. */
  readonly columns?: RoundColumns;
  readonly entries?: readonly FeedEntry[];
  readonly trouble: Trouble | null;
};

/** What the page tells the feed's thread. */
export type FeedOrder =
  | { readonly kind: "follow"; readonly runId: string; readonly token: string | null }
  | { readonly kind: "visible"; readonly visible: boolean }
  | { readonly kind: "stop" };
