// What this browser's device has given to each run that it took part in, as last heard.
import { isRunId } from "../../feed/links.ts";

const PLACE = "manyhands.given";

export type Given = {
  readonly runId: string;
  readonly name: string;
  readonly tokens: number;
  readonly updates: number;
};

export function readGiven(): readonly Given[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(value) ? value.filter(isGiven) : [];
  } catch {
    // No storage, or nonsense in it.
    return [];
  }
}

function isGiven(value: unknown): value is Given {
  if (typeof value !== "object" || value === null) return false;
  const { runId, name, tokens, updates } = value as Partial<Given>;
  const isText = typeof runId === "string" && isRunId(runId) && typeof name === "string";
  return isText && typeof tokens === "number" && typeof updates === "number";
}

export function keepGiven(given: Given): void {
  try {
    const others = readGiven().filter(({ runId }) => runId !== given.runId);
    localStorage.setItem(PLACE, JSON.stringify([given, ...others].slice(0, 100)));
  } catch {
    // Without storage the totals are those of the log only.
  }
}
