// Badges by tokens given: which are earned, and how far the next one is. Pure.

/** Tokens that each badge begins at, in the order of texts.badges.names. */
export const BADGE_TOKENS = [1, 100_000, 1e6, 1e7, 1e8, 1e9] as const;

/** How many badges these tokens have earned. */
export function badgesFor(tokens: number): number {
  return BADGE_TOKENS.filter((from) => tokens >= from).length;
}

/** Tokens to the next badge; null if there is none. */
export function tokensToNext(tokens: number): number | null {
  const next = BADGE_TOKENS.find((from) => tokens < from);
  return next === undefined ? null : next - tokens;
}
