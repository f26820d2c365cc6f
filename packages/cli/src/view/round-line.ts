// One line per round for a pipe or a log file, and per event that a person should not miss. Pure.
import type { RoundFacts, ValidationPoint } from "../run/history.ts";
import { bytesText, clockText, countText, groupedText, lossText } from "../terminal/format.ts";

export type RoundLineFacts = {
  readonly round: RoundFacts;
  /** The newest validation point that is known after this round. */
  readonly validation: ValidationPoint | undefined;
  readonly tokens: number;
  readonly elapsedMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
};

/** `round   12  0:14  246k tokens  18 204 tok/s  train 2.113  val 2.240  4 workers  1.2 MB up …` */
export function roundLine(facts: RoundLineFacts): string {
  const { round, validation } = facts;
  const ms = Math.max(1, round.closedAt - round.openedAt);
  const late = round.contributions.filter((each) => each.isLate).length;
  const workers = new Set(round.contributions.map((each) => each.workerId)).size;
  return [
    `round ${String(round.round).padStart(4)}`,
    clockText(facts.elapsedMs).padStart(6),
    `${countText(facts.tokens)} tokens`.padStart(13),
    `${groupedText((round.tokens * 1_000) / ms)} tokens/s`,
    `train ${lossText(round.trainLoss)}`,
    `val ${lossText(validation?.loss ?? null)}`,
    `${workers} ${workers === 1 ? "worker" : "workers"}${late > 0 ? ` (${late} late)` : ""}`,
    `${bytesText(facts.bytesUp)} up`,
    `${bytesText(facts.bytesDown)} down`,
  ].join("  ");
}
