// Ctrl-C and its kin: the first asks politely, the second forces. A terminal, npm and our launcher
// may each deliver the same key press, so signals within a moment are one.

const SAME_PRESS_MS = 400;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export type Interrupts = {
  /** Aborted by the first signal. */
  readonly polite: AbortSignal;
  /** Aborted by the second. */
  readonly forced: AbortSignal;
  /** Gives the signals back. */
  release(): void;
};

/** Presses as a pure rule: which press is this, by the time of the newest one before? */
export function isNewPress(now: number, newest: number | null): boolean {
  return newest === null || now - newest > SAME_PRESS_MS;
}

export function watchInterrupts(now: () => number = () => performance.now()): Interrupts {
  const polite = new AbortController();
  const forced = new AbortController();
  let newest: number | null = null;
  const onSignal = (): void => {
    const at = now();
    if (!isNewPress(at, newest)) return;
    newest = at;
    if (polite.signal.aborted) forced.abort();
    else polite.abort();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    polite: polite.signal,
    forced: forced.signal,
    release: () => {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    },
  };
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
