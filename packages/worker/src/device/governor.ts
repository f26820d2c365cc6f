// May this device work now, and how much of the time? A person's settings against what is known of
// the device, as a pure function: every rest has one plain sentence.
// Not the sensors: browsers tell the conditions, and what they do not tell is null.
import { type Heat, shareOf } from "./heat.ts";
import { type DeviceSettings, POWER_MIN } from "./settings.ts";

export type Conditions = {
  /** Null: this browser does not tell. */
  readonly charging: boolean | null;
  /** Null: this browser does not tell. */
  readonly metered: boolean | null;
  readonly visible: boolean;
  /** Local time. */
  readonly minuteOfDay: number;
  /** Sent and received today. */
  readonly bytesToday: number;
  /** What training is predicted to take; null before the run is known. */
  readonly memoryBytes: number | null;
  readonly heat: Heat;
};

export type RestCode =
  | "memory"
  | "hidden"
  | "battery"
  | "charging-unknown"
  | "metered"
  | "network-unknown"
  | "hours"
  | "data"
  | "heat";

export type Verdict =
  /** `slowed`: why it works less than the person allows; null if it does not. */
  | { readonly kind: "run"; readonly duty: number; readonly slowed: string | null }
  | { readonly kind: "rest"; readonly code: RestCode; readonly sentence: string };

/** A verdict and since when it holds. */
export type Standing = { readonly verdict: Verdict; readonly since: number };

/** A cable that wiggles, a network that changes: a rest for these lasts this long at least. */
export const REST_MS_MIN = 10_000;
const RESTLESS: readonly RestCode[] = ["battery", "metered"];

/** @param now milliseconds that never run backwards */
export function govern(
  before: Standing | null,
  settings: DeviceSettings,
  conditions: Conditions,
  now: number,
): Standing {
  const verdict = verdictOf(settings, conditions);
  if (before && sameVerdict(before.verdict, verdict)) return { ...before, verdict };
  const held = before?.verdict;
  const isRestless = held?.kind === "rest" && RESTLESS.includes(held.code);
  const isEarly = before !== null && now - before.since < REST_MS_MIN;
  if (verdict.kind === "run" && isRestless && isEarly && stillAsked(settings, held.code)) {
    return before;
  }
  return { verdict, since: now };
}

/** Somebody who has just switched the limit off wants it to begin at once. */
function stillAsked(settings: DeviceSettings, code: RestCode): boolean {
  return code === "battery" ? settings.onlyCharging : settings.onlyUnmetered;
}

function sameVerdict(a: Verdict, b: Verdict): boolean {
  if (a.kind === "rest") return b.kind === "rest" && a.code === b.code;
  return b.kind === "run";
}

/**
 * The first limit that holds decides. A limit that this browser cannot check is never taken for
 * kept: it holds, and says so.
 */
export function verdictOf(settings: DeviceSettings, conditions: Conditions): Verdict {
  for (const limit of LIMITS) {
    const found = limit(settings, conditions);
    if (found) return { kind: "rest", ...found };
  }
  const duty = Math.max(POWER_MIN / 2, settings.power * shareOf(conditions.heat));
  return { kind: "run", duty, slowed: conditions.heat.level > 0 ? SLOWED : null };
}

const SLOWED = "It works less for now: its steps have become slow, so it is probably hot, or busy.";

type Limit = (
  settings: DeviceSettings,
  conditions: Conditions,
) => { readonly code: RestCode; readonly sentence: string } | null;

const LIMITS: readonly Limit[] = [
  ({ memoryBytesMax }, { memoryBytes }) => {
    if (memoryBytesMax === null || memoryBytes === null || memoryBytes <= memoryBytesMax) {
      return null;
    }
    const [need, may] = [megabytes(memoryBytes), megabytes(memoryBytesMax)];
    const sentence = `Training this run needs about ${need} of memory; you allow ${may}.`;
    return { code: "memory", sentence };
  },
  ({ onlyVisible }, { visible }) => {
    if (!onlyVisible || visible) return null;
    return { code: "hidden", sentence: "Resting while this page is not in front." };
  },
  ({ onlyCharging }, { charging }) => {
    if (!onlyCharging || charging === true) return null;
    if (charging === false) {
      return { code: "battery", sentence: "Resting until the device is charging." };
    }
    const sentence =
      "This browser does not tell whether the device is charging. " +
      "Switch off “only while charging” to take part.";
    return { code: "charging-unknown", sentence };
  },
  ({ onlyUnmetered }, { metered }) => {
    if (!onlyUnmetered || metered === false) return null;
    if (metered === true) {
      return { code: "metered", sentence: "Resting until there is a network that is not metered." };
    }
    const sentence =
      "This browser does not tell whether the network is metered. " +
      "Switch off “only on unmetered networks” to take part.";
    return { code: "network-unknown", sentence };
  },
  ({ hours }, { minuteOfDay }) => {
    if (hours === null || isWithin(hours, minuteOfDay)) return null;
    return { code: "hours", sentence: `Resting until ${clock(hours.from)}, as you planned.` };
  },
  ({ dataBytesPerDay }, { bytesToday }) => {
    if (dataBytesPerDay === null || bytesToday < dataBytesPerDay) return null;
    const sentence = `Today’s ${megabytes(dataBytesPerDay)} of data are used up; more tomorrow.`;
    return { code: "data", sentence };
  },
  (_, { heat }) => {
    if (heat.restUntil === null) return null;
    const sentence =
      "The steps have become slow: the device is probably hot, or busy. Resting for some minutes.";
    return { code: "heat", sentence };
  },
];

/** From 22:00 to 6:00 is a night; from a minute to the same minute is the whole day. */
function isWithin({ from, to }: { from: number; to: number }, minute: number): boolean {
  if (from === to) return true;
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}

function clock(minute: number): string {
  return `${Math.floor(minute / 60)}:${String(minute % 60).padStart(2, "0")}`;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}

/** A longer rest would miss rounds; what is too much for one rest is lost power, not lost rest. */
const PAUSE_MS_MAX = 60_000;

/** How long to rest after so much work, so that work is `duty` of the time. */
export function restMs(workMs: number, duty: number): number {
  return Math.min(PAUSE_MS_MAX, (workMs * (1 - duty)) / duty);
}
