// The join links that this browser has opened: the run and its admission token.
// Not the owner's token: that one is never in a link, and is kept apart (screens/owner).
const PLACE = "manyhands.links";
const RUN_ID = /^[0-9a-f]{64}$/;
const TOKEN = /^[\x21-\x7e]{1,128}$/;

export type Link = { readonly runId: string; readonly token: string };

export function isRunId(text: string): boolean {
  return RUN_ID.test(text);
}

function readAll(): Readonly<Record<string, string>> {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
    if (typeof value !== "object" || value === null) return {};
    const entries = Object.entries(value).filter(
      ([runId, token]) => isRunId(runId) && typeof token === "string" && TOKEN.test(token),
    );
    return Object.fromEntries(entries);
  } catch {
    // No storage (a private window), or somebody wrote nonsense there: as if it were empty.
    return {};
  }
}

export function tokenOf(runId: string): string | null {
  return readAll()[runId] ?? null;
}

/** Takes the token out of the address bar's fragment, where a join link carries it. */
export function takeTokenFromAddress(runId: string): void {
  const token = location.hash.slice(1);
  if (!TOKEN.test(token) || !isRunId(runId)) return;
  keepLink({ runId, token });
}

export function keepLink({ runId, token }: Link): void {
  try {
    localStorage.setItem(PLACE, JSON.stringify({ ...readAll(), [runId]: token }));
  } catch {
    // Without storage the link works for as long as its address is open.
  }
}

/** The link that others join with; null if this browser never had it. */
export function joinLinkOf(runId: string): string | null {
  const token = tokenOf(runId);
  return token === null ? null : `${location.origin}/runs/${runId}#${token}`;
}

/** A join link that somebody typed or pasted; null for anything else. */
export function parseLink(text: string): Link | null {
  const url = URL.parse(text.trim());
  const runId = /^\/runs\/([0-9a-f]{64})\/?$/.exec(url?.pathname ?? "")?.[1];
  const token = url?.hash.slice(1) ?? "";
  return runId && TOKEN.test(token) ? { runId, token } : null;
}
