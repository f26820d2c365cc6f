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

/** More points than this are drawn as means of their neighbours: a screen has no place for more. */
const POINTS_MAX = 300;

/** Which rounds each drawn point stands for: [from, to). */
export function binsOf(count: number): readonly (readonly [number, number])[] {
  const bins = Math.min(count, POINTS_MAX);
  const edge = (bin: number): number => Math.floor((bin * count) / bins);
  return Array.from({ length: bins }, (_, bin) => [edge(bin), edge(bin + 1)] as const);
}

/** The mean of what a column has in each bin; null where it has nothing. */
export function meanIn(column: Column, bins: ReturnType<typeof binsOf>): (number | null)[] {
  return bins.map(([from, to]) => {
    let [sum, count] = [0, 0];
    for (let at = from; at < to; at++) {
      const value = column[at] ?? null;
      if (value === null) continue;
      sum += value;
      count += 1;
    }
    return count === 0 ? null : sum / count;
  });
}

/** What a point stands for, in rounds: the first of its bin, and the last. */
export function roundsOf(
  rounds: Pick<RoundColumns, "round">,
  [from, to]: readonly [number, number],
): readonly [number, number] {
  return [rounds.round[from] ?? 0, rounds.round[to - 1] ?? 0];
}
