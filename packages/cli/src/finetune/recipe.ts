// What a fine-tuning run is made of: everything that its final weights depend on. Two runs with
// the same recipe end in the same weights; a folder goes on only with the one it was begun with.
import { createHash } from "node:crypto";
import type { AdapterConfig } from "@manyhands/engine/adapters/config";
import type { Layout } from "@manyhands/engine/data/text-batches";
import type { Loss } from "@manyhands/engine/data/text-data";
import type { BaseKind } from "@manyhands/engine/quantize/kinds";
import type { Author } from "@manyhands/engine/tokenizer/text-tokenizer";
import type { TuneOptimizer } from "@manyhands/engine/train/tuner";
import type { Schedule } from "./schedule.ts";

export type Method = "lora" | "full";

export type RecipeData = {
  readonly name: string;
  readonly format: "text" | "jsonl";
  readonly bytes: number;
  readonly lines: number;
  readonly sha256: string;
};

export type Recipe = {
  readonly format: 1;
  readonly model: {
    /** hf:<org>/<name>[@revision], or a folder's own name. */
    readonly name: string;
    /** Of a model from the Hub. */
    readonly commit: string | null;
    /** Of config.json and the weight files; see base-identity.ts. */
    readonly fingerprint: string;
  };
  readonly method: Method;
  /** How the frozen base is held; f32 for method full. */
  readonly base: BaseKind;
  readonly adapter: AdapterConfig | null;
  readonly data: readonly RecipeData[];
  readonly layout: Layout;
  readonly loss: Loss;
  readonly author: Author;
  /** Of the template that was given in place of the model's own. */
  readonly chatTemplateSha256: string | null;
  readonly validationShare: number;
  readonly sequence: number;
  /** Sequences of a step, and of the part of it that is computed at once. */
  readonly batch: number;
  readonly microBatch: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly optimizer: TuneOptimizer;
  readonly seed: number;
  /** Sums are formed in another order with another number of threads. */
  readonly threads: number;
};

/** The SHA-256 of the recipe's JSON with sorted members. */
export function recipeHash(recipe: Recipe): string {
  return createHash("sha256").update(sortedJson(recipe)).digest("hex");
}

/** What differs, as `name: before → now`; empty if nothing does. */
export function recipeDifferences(before: Recipe, now: Recipe): string[] {
  const [old, fresh] = [leaves(before), leaves(now)];
  const names = [...new Set([...old.keys(), ...fresh.keys()])];
  return names.flatMap((name) => {
    const [a = "nothing", b = "nothing"] = [old.get(name), fresh.get(name)];
    return a === b ? [] : [`${name}: ${a} → ${b}`];
  });
}

function leaves(value: unknown, name = ""): Map<string, string> {
  if (typeof value !== "object" || value === null) return new Map([[name, JSON.stringify(value)]]);
  const entries = Object.entries(value).map(([key, each]) =>
    leaves(each, name === "" ? key : `${name}.${key}`),
  );
  return new Map(entries.flatMap((map) => [...map]));
}

function sortedJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([k, v]) => `${JSON.stringify(k)}:${sortedJson(v)}`).join(",")}}`;
}
