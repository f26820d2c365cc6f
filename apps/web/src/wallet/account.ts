// Accounts as people write them: 0x…, and the checksum that its capitals are (EIP-55).
// The page keeps 20 bytes in lower-case hex, as the log does.
import { toHex, utf8 } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import { keccak_256 } from "@noble/hashes/sha3.js";

/** form: not 0x and 40 hex digits · checksum: a digit is wrong · nobody: the zero account. */
export type AccountProblem = "form" | "checksum" | "nobody";

/** With the capitals that EIP-55 gives it. @param hex 20 bytes in hex, without 0x */
export function accountText(hex: string): string {
  const lower = hex.toLowerCase();
  const hash = toHex(keccak_256(utf8(lower)));
  const digits = [...lower].map((digit, place) =>
    Number.parseInt(hash[place] ?? "0", 16) >= 8 ? digit.toUpperCase() : digit,
  );
  return `0x${digits.join("")}`;
}

/** One case throughout has no checksum, and is taken as it is. */
export function readAccount(text: string): Result<string, AccountProblem> {
  const [, hex] = /^0x([0-9a-fA-F]{40})$/.exec(text.trim()) ?? [];
  if (hex === undefined) return err("form");
  if (/^0*$/.test(hex)) return err("nobody");
  const lower = hex.toLowerCase();
  const isOneCase = hex === lower || hex === hex.toUpperCase();
  return isOneCase || accountText(lower) === `0x${hex}` ? ok(lower) : err("checksum");
}

/** The first and last characters, for people who know the account. */
export function shortAccount(hex: string): string {
  const whole = accountText(hex);
  return `${whole.slice(0, 6)}…${whole.slice(-4)}`;
}
