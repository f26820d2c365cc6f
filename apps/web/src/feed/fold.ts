// The incremental folds of the feed: new rounds into columns, log rows into lines. Pure.
import { decodeRow, type LogRow } from "@manyhands/coordinator/log/log";
import type { RunEvent } from "@manyhands/protocol/events";
import {
  type FeedEntry,
  type FeedNews,
  ROUND_COLUMNS,
  type RoundColumns,
  type RunView,
} from "./run-view.ts";

const FEED_ENTRIES_MAX = 2_000;
const MICRO = 1e6;

/** A run as it is known after some news. Columns are shared with the view before, where equal. */
export function withNews(view: RunView, news: FeedNews, now: number): RunView {
  const { status, run, columns, entries, trouble } = news;
  return {
    runId: view.runId,
    status: status ?? view.status,
    run: run ?? view.run,
    rounds: columns ? withColumns(view.rounds, columns) : view.rounds,
    feed: entries ? [...view.feed, ...entries].slice(-FEED_ENTRIES_MAX) : view.feed,
    trouble,
    heardAt: trouble === null ? now : view.heardAt,
  };
}

/** New columns replace the rounds from their first on, and go on after them. */
export function withColumns(known: RoundColumns, fresh: RoundColumns): RoundColumns {
  const first = fresh.round[0];
  if (first === undefined || first === null) return known;
  const at = placeOf(known, first);
  const joined: Record<string, readonly (number | null)[]> = {};
  for (const name of ROUND_COLUMNS) {
    joined[name] = at === 0 ? fresh[name] : known[name].slice(0, at).concat(fresh[name]);
  }
  return joined as RoundColumns;
}

/** Where a round is, or would be: rounds ascend by one. */
export function placeOf(columns: RoundColumns, round: number): number {
  const first = columns.round[0] ?? round;
  return Math.max(0, Math.min(columns.round.length, round - first));
}

/** A row as a line for people; null for one that nobody needs to hear of, or that is damaged. */
export function entryOfRow(row: LogRow): FeedEntry | null {
  const event = decodeRow(row);
  return event.ok ? entryOfEvent(event.value, row.sequence) : null;
}

function entryOfEvent(event: RunEvent, sequence: number): FeedEntry {
  const at = { sequence, tick: event.tick };
  switch (event.type) {
    case "RunCreated":
      return { ...at, kind: "created" };
    case "WorkerJoined":
      return { ...at, kind: "joined", name: event.join.name, numerics: event.join.numerics };
    case "WorkerLeft":
      return { ...at, kind: "left", workerId: event.workerId, reason: event.reason };
    case "RoundOpened":
      return { ...at, kind: "opened", round: event.round };
    case "UpdateCommitted": {
      const { round, tokens, metrics } = event.update;
      const loss = metrics.trainLossMicronats / MICRO;
      return { ...at, kind: "update", workerId: event.workerId, round, tokens, loss };
    }
    case "CommitmentsClosed":
      return { ...at, kind: "gathered" };
    case "RoundClosed":
      return { ...at, kind: "closed", round: event.round };
    case "RunPaused":
      return { ...at, kind: "paused" };
    case "RunResumed":
      return { ...at, kind: "resumed" };
    case "RunFinished":
      return { ...at, kind: "finished", reason: event.reason };
  }
}
