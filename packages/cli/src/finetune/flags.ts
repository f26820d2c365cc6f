// The flags of `finetune`, and what holds where one is not given. Flags are kept in the run's
// folder, so that a second call only has to name what it wants otherwise.

import { resolve } from "node:path";
import { parseModelReference } from "@manyhands/hub/reference";
import type { Method } from "./recipe.ts";
import { SCHEDULES, type Schedule, type ScheduleKind } from "./schedule.ts";

/** What a person gave, by the names of the command line. */
export type FinetuneFlags = {
  readonly model?: string;
  readonly data?: readonly string[];
  readonly method?: string;
  readonly base?: string;
  readonly rank?: number;
  readonly alpha?: number;
  readonly dropout?: number;
  readonly targets?: string;
  readonly rslora?: boolean;
  readonly dora?: boolean;
  readonly steps?: number;
  readonly epochs?: number;
  readonly batch?: number;
  readonly microBatch?: number;
  readonly sequence?: number;
  readonly rate?: number;
  readonly schedule?: string;
  readonly warmup?: number;
  readonly cooldown?: number;
  readonly clip?: number;
  readonly weightDecay?: number;
  readonly seed?: number;
  readonly validation?: number;
  readonly packed?: boolean;
  readonly padded?: boolean;
  readonly loss?: string;
  readonly controlTokens?: boolean;
  readonly chatTemplate?: string;
  readonly strict?: boolean;
  readonly threads?: number;
  readonly evalEvery?: number;
  readonly saveEvery?: number;
  readonly memory?: number;
  readonly out?: string;
  readonly resume?: boolean;
  readonly restart?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
};

/** Flags of this call only: they say nothing about the run. */
const OWN_TO_A_CALL = ["memory", "out", "resume", "restart", "dryRun", "json"] as const;
/** Of two that exclude each other, the one that is given now drops the one of before. */
const RIVALS = [
  ["packed", "padded"],
  ["steps", "epochs"],
] as const;

export const DEFAULTS = {
  rank: 16,
  batch: 8,
  sequence: 512,
  warmup: 0.03,
  cooldown: 0.2,
  epochs: 1,
  validation: 0.05,
  loraRate: 2e-4,
  fullRate: 2e-5,
} as const;

/**
 * What the run's folder keeps: with the choices that depend on the moment (what memory was free),
 * so that a later sitting makes the same.
 */
export function keptFlags(flags: FinetuneFlags, chosen: ChosenFlags): FinetuneFlags {
  const own: readonly string[] = OWN_TO_A_CALL;
  const kept = Object.entries(flags).filter(([name, value]) => {
    return value !== undefined && !own.includes(name);
  });
  return { ...Object.fromEntries(kept), ...chosen };
}

export type ChosenFlags = { readonly microBatch: number; readonly threads: number };

/** Flags of an earlier call as this one has to read them: paths were relative to its folder. */
export function movedFlags(flags: FinetuneFlags, from: string, to: string): FinetuneFlags {
  if (from === to) return flags;
  const { model, data, chatTemplate } = flags;
  const isFolder = model !== undefined && parseModelReference(model).kind === "folder";
  return {
    ...flags,
    ...(isFolder ? { model: resolve(from, model) } : {}),
    ...(data === undefined ? {} : { data: data.map((path) => resolve(from, path)) }),
    ...(chatTemplate === undefined ? {} : { chatTemplate: resolve(from, chatTemplate) }),
  };
}

export function mergedFlags(before: FinetuneFlags, now: FinetuneFlags): FinetuneFlags {
  const dropped = new Set<string>();
  for (const [a, b] of RIVALS) {
    if (now[a] !== undefined) dropped.add(b);
    if (now[b] !== undefined) dropped.add(a);
  }
  const kept = Object.entries(before).filter(([name]) => !dropped.has(name));
  return { ...Object.fromEntries(kept), ...now };
}

export function defaultRate(method: Method): number {
  return method === "lora" ? DEFAULTS.loraRate : DEFAULTS.fullRate;
}

/** Warm-up and cool-down below 1 are shares of all steps, from 1 on they are steps. */
export function scheduleOf(flags: FinetuneFlags, steps: number): Schedule {
  const kind = SCHEDULES.find((each) => each === flags.schedule) ?? "cosine";
  const count = (value: number): number =>
    Math.min(steps - 1, value < 1 ? Math.round(value * steps) : Math.round(value));
  return {
    kind,
    warmupSteps: count(flags.warmup ?? DEFAULTS.warmup),
    cooldownSteps: kind === cooling ? count(flags.cooldown ?? DEFAULTS.cooldown) : 0,
  };
}

const cooling: ScheduleKind = "wsd";
