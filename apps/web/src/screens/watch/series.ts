// The run's columns as the curves that are drawn of them. Pure.
import type { FeedEntry, RoundColumns } from "../../feed/run-view.ts";

type Column = readonly (number | null)[];

/** Mean training loss of one device's updates, at the rounds that took them; null elsewhere. */
export function ownLosses(
  rounds: RoundColumns,
  feed: readonly FeedEntry[],
  workerId: string | null,
): (number | null)[] {
  const byRound = new Map<number, number>();
  for (const entry of feed) {
    if (entry.kind === "update" && entry.workerId === workerId) {
      byRound.set(entry.round, entry.loss);
    }
  }
  return rounds.round.map((round) => byRound.get(round ?? -1) ?? null);
}

/** Tokens per second of each round, idle time before it not counted. */
export function roundSpeeds(rounds: RoundColumns): (number | null)[] {
  return rounds.round.map((_, place) => {
    const ms = (rounds.closedAt[place] ?? 0) - (rounds.openedAt[place] ?? 0);
    const tokens = (rounds.tokens[place] ?? 0) - (rounds.tokensBefore[place] ?? 0);
    return ms > 0 ? (tokens * 1_000) / ms : null;
  });
}

export function firstAndLast(column: Column): readonly [number, number] | null {
  const first = column.find((value) => value !== null);
  const last = column.findLast((value) => value !== null);
  return typeof first === "number" && typeof last === "number" ? [first, last] : null;
}
