// One line per round for a pipe or a log file, and per event that a person should not miss. Pure.
import type { HistoryPoint } from "@manyhands/coordinator/history";
import { bytesText, clockText, countText, groupedText, lossText } from "../terminal/format.ts";

export type RoundLineFacts = {
  readonly point: HistoryPoint;
  /** The newest validation loss that is known after this round. */
  readonly valLoss: number | null;
  readonly elapsedMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
};

/**
 * `round   12   0:14  246k tokens  18 204 tokens/s  train 2.113  val 2.240  4 updates  1.2 MB up
 * …`
 */
export function roundLine(facts: RoundLineFacts): string {
  const { point } = facts;
  const ms = Math.max(1, point.closedAt - point.openedAt);
  const late = point.late > 0 ? ` (${point.late} late)` : "";
  return [
    `round ${String(point.round).padStart(4)}`,
    clockText(facts.elapsedMs).padStart(6),
    `${countText(point.tokens)} tokens`.padStart(13),
    `${groupedText(((point.tokens - point.tokensBefore) * 1_000) / ms)} tokens/s`,
    `train ${lossText(point.trainLoss)}`,
    `val ${lossText(facts.valLoss)}`,
    `${point.contributors} ${point.contributors === 1 ? "update" : "updates"}${late}`,
    `${bytesText(facts.bytesUp)} up`,
    `${bytesText(facts.bytesDown)} down`,
  ].join("  ");
}
