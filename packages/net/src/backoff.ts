// Waiting before another try: exponential, capped, with full jitter.
// Not a retry loop: who tries again, and how often, is the caller's decision.
import { assert } from "@manyhands/base/assert";

export type Backoff = {
  /** Longest wait before the second try. */
  readonly baseMs: number;
  /** Longest wait before any try. */
  readonly capMs: number;
};

/**
 * unit · min(capMs, baseMs · 2^attempt), in whole milliseconds.
 *
 * @param attempt failures so far, minus one: 0 before the second try
 * @param unit    a uniform draw from [0, 1), so that many peers do not come back at the same moment
 * @source        Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
 */
export function fullJitterMs(backoff: Backoff, attempt: number, unit: number): number {
  assert(Number.isSafeInteger(attempt) && attempt >= 0, `attempts are counted, found ${attempt}`);
  assert(unit >= 0 && unit < 1, `a draw from [0, 1), found ${unit}`);
  const doublings = Math.min(attempt, 30);
  return Math.floor(unit * Math.min(backoff.capMs, backoff.baseMs * 2 ** doublings));
}
