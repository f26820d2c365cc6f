// The owner's tokens, by run, and the host's: for as long as this tab lives, and never in a link.
const PLACE = "manyhands.owner";
export const HOST = "host";

function readAll(): Readonly<Record<string, string>> {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(PLACE) ?? "{}");
    return typeof value === "object" && value !== null ? (value as Record<string, string>) : {};
  } catch {
    // No storage, or nonsense in it.
    return {};
  }
}

/** @param whose a run's id, or HOST */
export function ownerTokenOf(whose: string): string | null {
  const token: unknown = readAll()[whose];
  return typeof token === "string" ? token : null;
}

export function keepOwnerToken(whose: string, token: string | null): void {
  const { [whose]: _, ...others } = readAll();
  try {
    const next = token === null ? others : { ...others, [whose]: token };
    sessionStorage.setItem(PLACE, JSON.stringify(next));
  } catch {
    // Without storage it has to be entered again.
  }
}
