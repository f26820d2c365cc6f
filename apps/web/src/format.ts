// Numbers as people read them, in the page's language. Not words: those are in texts.ts.
const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;
const DASH = "–";

function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** `999 B`, `1.23 MB`: decimal units with three digits. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : threeDigits(value)}\u202f${BYTE_UNITS[unit]}`;
}

/** `950`, `12.3k`, `4.00M`. */
export function countText(count: number): string {
  if (count < 999.5) return String(Math.round(count));
  if (count < 999_500) return `${threeDigits(count / 1e3)}k`;
  if (count < 999_500_000) return `${threeDigits(count / 1e6)}M`;
  return `${threeDigits(count / 1e9)}G`;
}

/** Groups of three with a narrow space. */
export function groupedText(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `0.42 s`, `12.3 s`, `4 min 42 s`, `2 h 05 min`. */
export function durationText(ms: number): string {
  if (ms < 9_995) return `${(ms / 1_000).toFixed(ms < 995 ? 2 : 1)}\u202fs`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(0)}\u202fs`;
  const seconds = Math.round(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Logical time since the run's beginning: `0:07`, `4:42`, `1:02:03`. */
export function clockText(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1_000));
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3_600);
  const minutes = Math.floor(total / 60) % 60;
  const rest = `${two(total % 60)}`;
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

export function lossText(loss: number | null | undefined): string {
  return loss === null || loss === undefined ? DASH : loss.toFixed(3);
}

export function shareText(share: number): string {
  if (!Number.isFinite(share)) return DASH;
  const percent = share * 100;
  const digits = percent > 0 && percent < 9.95 ? 1 : 0;
  return `${percent.toFixed(digits)}\u202f%`;
}

export function timesText(ratio: number): string {
  if (!Number.isFinite(ratio) || ratio <= 0) return DASH;
  return `${ratio < 10 ? ratio.toFixed(1) : groupedText(ratio)}\u202f×`;
}

/** The first characters of a name that is a hash. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** Decimals of a token's smallest unit as people write them: `12.5 USDT`, nothing rounded. */
export function amountText(units: bigint, { symbol, decimals }: TokenWords): string {
  const digits = String(units).padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const rest = digits.slice(digits.length - decimals).replace(/0+$/, "");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return `${grouped}${rest === "" ? "" : `.${rest}`}\u202f${symbol}`;
}

export type TokenWords = { readonly symbol: string; readonly decimals: number };

/** What `amountText` writes, read again; null for what is no amount of this token. */
export function amountIn(text: string, decimals: number): bigint | null {
  const [, whole, rest = ""] = /^(\d{1,30})(?:\.(\d+))?$/.exec(text.trim()) ?? [];
  if (whole === undefined || rest.length > decimals) return null;
  return BigInt(`${whole}${rest.padEnd(decimals, "0")}`);
}

/** A moment of a chain's clock, by this device's calendar. */
export function clockTimeText(seconds: number): string {
  const at = new Date(seconds * 1_000);
  const isToday = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  return isToday ? time : `${at.toLocaleDateString()}, ${time}`;
}

/** A reason as a sentence of its own. */
export function sentence(reason: string): string {
  const text = reason.slice(0, 1).toUpperCase() + reason.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
