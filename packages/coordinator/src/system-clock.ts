// The machine's monotonic clock and timers: a run's ticks never depend on anybody setting the time
// of day.
import type { Clock } from "./core/ports.ts";

/** Node fires a longer timer at once; a later look is enough. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Math.floor(performance.now()),
  setTimer: (at, wake) => {
    // A timer may fire up to a millisecond early by this clock, which rounds down.
    const wait = Math.ceil(at - performance.now()) + 1;
    const timer = setTimeout(wake, Math.min(Math.max(0, wait), TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
};
