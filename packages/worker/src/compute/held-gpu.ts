// A GPU that draws the page too must not be held for long: how long a step holds it is measured,
// and where one piece of work lasts too long, fewer sequences are computed at once. Not a clock.

/** Sequences at once, and how long the longest submission of a step was. */
export type Trial = { readonly microBatch: number; readonly ms: number };

export type HeldGpu = {
  readonly msMax: number;
  /** How long some work holds the GPU at once, at most. */
  readonly longestMs: (work: () => Promise<unknown>) => Promise<number>;
  /** What was tried, in order; the last one is used. */
  readonly onTrial?: ((trial: Trial) => void) | undefined;
};

/** The largest divisor of a batch that is at most so large, and smaller than before. */
export function smallerMicroBatch(batch: number, before: number, share: number): number {
  const wanted = Math.min(before - 1, Math.floor(before * share));
  for (let size = Math.max(1, wanted); size > 1; size--) if (batch % size === 0) return size;
  return 1;
}

export type Tried<T> = {
  readonly open: (microBatch: number) => Promise<T>;
  /** One step, after which everything is as it was. */
  readonly step: (made: T) => Promise<unknown>;
  readonly close: (made: T) => Promise<unknown>;
};

/** What computes as many sequences at once as do not hold the GPU for long; one at the least. */
export async function openGently<T>(
  { msMax, longestMs, onTrial }: HeldGpu,
  batch: number,
  { open, step, close }: Tried<T>,
): Promise<T> {
  for (let microBatch = batch; ; ) {
    const made = await open(microBatch);
    // The first step waits for shaders too.
    await step(made);
    const ms = await longestMs(() => step(made));
    onTrial?.({ microBatch, ms });
    if (ms <= msMax || microBatch === 1) return made;
    await close(made);
    microBatch = smallerMicroBatch(batch, microBatch, msMax / ms);
  }
}
