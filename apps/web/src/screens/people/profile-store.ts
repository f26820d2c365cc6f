// The profile: a name and a team, if the person wants them. Kept in this browser only.
import type { NameParts } from "../names.ts";

const PLACE = "manyhands.profile";
const NAME_CHARS_MAX = 30;
const NOBODY: NameParts = { name: "", team: null };

export function cleanName(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}@]/gu, "")
    .replace(/\s+/g, " ")
    .trimStart()
    .slice(0, NAME_CHARS_MAX);
}

export function readProfile(): NameParts {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(PLACE) ?? "null");
    if (typeof value !== "object" || value === null) return NOBODY;
    const name: unknown = Reflect.get(value, "name");
    const team: unknown = Reflect.get(value, "team");
    return {
      name: typeof name === "string" ? cleanName(name) : "",
      team: typeof team === "string" && team !== "" ? cleanName(team) : null,
    };
  } catch {
    // No storage, or nonsense in it: nobody in particular.
    return NOBODY;
  }
}

export function keepProfile(profile: NameParts): void {
  try {
    localStorage.setItem(PLACE, JSON.stringify(profile));
  } catch {
    // Without storage the name holds until the page is closed.
  }
}
