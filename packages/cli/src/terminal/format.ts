// Numbers as people read them: bytes, durations, counts, losses. Pure; the same text in every
// locale.

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Decimal units with three digits: `999 B`, `1.23 MB`, `45.6 GB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const text = unit === 0 ? String(Math.round(value)) : threeDigits(value);
  return `${text} ${BYTE_UNITS[unit]}`;
}

/** `950`, `12.3k`, `4.00M`. */
export function countText(count: number): string {
  if (count < 999.5) return String(Math.round(count));
  if (count < 999_500) return `${threeDigits(count / 1e3)}k`;
  if (count < 999_500_000) return `${threeDigits(count / 1e6)}M`;
  return `${threeDigits(count / 1e9)}G`;
}

/** `4 000 000`: groups of three with a narrow no-break space. */
export function groupedText(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `1 account`, `3 accounts`: nouns whose plural is regular. */
export function numberText(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** `0:07`, `4:42`, `1:02:03`. */
export function clockText(ms: number): string {
  const total = Math.max(0, Math.round(ms / 1_000));
  const seconds = String(total % 60).padStart(2, "0");
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3_600);
  return hours > 0
    ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}`
    : `${minutes}:${seconds}`;
}

/** `0.42 s`, `12.3 s`, `4 min 42 s`, `2 h 05 min`. */
export function durationText(ms: number): string {
  if (ms < 9_995) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Nats per token with three decimals, or a dash before the first. */
export function lossText(loss: number | null): string {
  return loss === null ? "–" : loss.toFixed(3);
}

/** `212 ×`: how many times more; one decimal below ten. */
export function timesText(ratio: number): string {
  if (!Number.isFinite(ratio)) return "–";
  return `${ratio < 10 ? ratio.toFixed(1) : groupedText(ratio)}\u202f×`;
}

export function shareText(share: number): string {
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** The first characters of a long name that is a hash. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}
