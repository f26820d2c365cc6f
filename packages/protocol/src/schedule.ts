// The schedule: how far a run is through its budget, and what that makes of the learning rate.
// Not a clock: time and tokens come from the log.
import { assert } from "@manyhands/base/assert";
import { POSITION_END } from "./limits.ts";
import type { Budget, Recipe } from "./run-config.ts";

const MINUTE_MS = 60_000;

/** What has been used of a budget: tokens of closed rounds, and their summed durations. */
export type Spent = { readonly tokens: number; readonly trainingMs: number };

/**
 * floor(10⁶ · max(tokens ÷ budget.tokens, trainingMs ÷ budget.minutes)), at most POSITION_END.
 *
 * @source docs/spec §3.4
 */
export function schedulePosition(budget: Budget, spent: Spent): number {
  return Math.max(
    budget.tokens === null ? 0 : partsPerMillion(spent.tokens, budget.tokens),
    budget.minutes === null ? 0 : partsPerMillion(spent.trainingMs, budgetMs(budget.minutes)),
  );
}

/** The minutes of a budget in whole milliseconds, at least one. */
export function budgetMs(minutes: number): number {
  return Math.max(1, Math.floor(minutes * MINUTE_MS));
}

/** In big integers: tokens · 10⁶ can pass 2⁵³. */
function partsPerMillion(part: number, whole: number): number {
  const share = (BigInt(part) * BigInt(POSITION_END)) / BigInt(whole);
  return share < BigInt(POSITION_END) ? Number(share) : POSITION_END;
}

/**
 * Share of the peak learning rate at a position: a linear rise from 0 over `warmup`, flat, and a
 * linear fall to `floor` over the last `cooldown`. Where the two overlap the smaller holds.
 *
 * @param position 0 … POSITION_END; fractions are allowed
 * @returns        0 … 1
 */
export function learningRateScale(schedule: Recipe["schedule"], position: number): number {
  assert(position >= 0 && position <= POSITION_END, `a position is in ppm, found ${position}`);
  const at = position / POSITION_END;
  const { warmup, cooldown, floor } = schedule;
  const rise = at < warmup ? at / warmup : 1;
  const left = 1 - at;
  const fall = left < cooldown ? floor + (1 - floor) * (left / cooldown) : 1;
  return Math.min(rise, fall);
}

/** The stretch of the schedule that one round is expected to cover. */
export type ScheduleSpan = { readonly position: number; readonly positionAfter: number };

/**
 * Share of the peak learning rate for one inner step: the schedule at the middle of the step's own
 * piece of the round's span. So the first round, which opens at position 0, does not train in vain.
 *
 * @param step  0 … steps − 1
 * @param steps inner steps of this worker's assignment
 */
export function innerStepScale(
  schedule: Recipe["schedule"],
  span: ScheduleSpan,
  step: number,
  steps: number,
): number {
  assert(step >= 0 && step < steps, `inner step ${step} of ${steps}`);
  const { position, positionAfter } = span;
  const at = position + ((positionAfter - position) * (2 * step + 1)) / (2 * steps);
  return learningRateScale(schedule, at);
}
