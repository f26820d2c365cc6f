// Heat without a thermometer: no page can read one, but a hot device slows down. Steps that take
// longer and longer first make it work less, then rest. Pure: the caller has the clock.
// Not a fault detector: a device that is busy with something else looks the same, and rests too.

/** Steps are taken together until they have worked so long: short ones say more of other work. */
const SAMPLE_MICROS = 250_000;
/** Samples whose median is one reading. */
const WINDOW = 20;
/** Slower than the best by so much: hot. Below the lower bound again: cool. Between: as before. */
const HOT = 1.5;
const COOL = 1.2;
/** Cool readings in a row before it works more again. */
const COOL_READINGS = 2;
/** Share of the allowed time that is used, per level; the last level is a rest. */
const SHARES = [1, 0.75, 0.5, 0] as const;
const REST_LEVEL = SHARES.length - 1;
export const HEAT_REST_MS = 300_000;

export type Heat = {
  /** 0: as allowed · 1, 2: less · 3: rests. */
  readonly level: number;
  readonly restUntil: number | null;
  /** Steps of the sample that is not full yet. */
  readonly open: { readonly micros: number; readonly steps: number };
  /** Mean step times of the last samples. */
  readonly recent: readonly number[];
  /** The lowest median so far, in microseconds. */
  readonly best: number | null;
  readonly coolReadings: number;
};

const NO_STEPS = { micros: 0, steps: 0 } as const;

export const COLD: Heat = {
  level: 0,
  restUntil: null,
  open: NO_STEPS,
  recent: [],
  best: null,
  coolReadings: 0,
};

/** @param now milliseconds that never run backwards */
export function afterStep(heat: Heat, micros: number, now: number): Heat {
  const open = { micros: heat.open.micros + micros, steps: heat.open.steps + 1 };
  if (open.micros < SAMPLE_MICROS) return { ...heat, open };
  return afterSample({ ...heat, open: NO_STEPS }, open.micros / open.steps, now);
}

function afterSample(heat: Heat, micros: number, now: number): Heat {
  const recent = [...heat.recent, micros];
  if (recent.length < WINDOW) return { ...heat, recent };
  const median = medianOf(recent);
  const best = Math.min(heat.best ?? median, median);
  const next = { ...heat, recent: [], best };
  const drift = median / best;
  if (drift >= HOT) return hotter(next, now);
  if (drift > COOL || heat.level === 0) return { ...next, coolReadings: 0 };
  const coolReadings = heat.coolReadings + 1;
  if (coolReadings < COOL_READINGS) return { ...next, coolReadings };
  return { ...next, level: heat.level - 1, coolReadings: 0 };
}

function hotter(heat: Heat, now: number): Heat {
  const level = Math.min(heat.level + 1, REST_LEVEL);
  const restUntil = level === REST_LEVEL ? now + HEAT_REST_MS : null;
  return { ...heat, level, restUntil, coolReadings: 0 };
}

/** Time goes by: after a rest it begins again, slowly. */
export function afterRest(heat: Heat, now: number): Heat {
  if (heat.restUntil === null || now < heat.restUntil) return heat;
  return {
    ...heat,
    level: REST_LEVEL - 1,
    restUntil: null,
    open: NO_STEPS,
    recent: [],
    coolReadings: 0,
  };
}

export function shareOf({ level }: Heat): number {
  return SHARES[level] ?? 0;
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
