// Canonical JSON (RFC 8785): one value, one text, so that its hash is a name.
import { assert } from "./assert.ts";
import { compareText, utf8 } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { toHex } from "./bytes.ts";

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/**
 * RFC 8785 text: keys in code-unit order, numbers in ECMAScript's shortest round-trip form, no spaces.
 * A key whose value is undefined is left out.
 *
 * @throws AssertionError on NaN and infinities, which JSON has no text for
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number") {
    assert(Number.isFinite(value), `canonical JSON has no text for ${value}`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields = Object.entries(value as { [key: string]: Json | undefined })
    .filter((field): field is [string, Json] => field[1] !== undefined)
    .sort(([a], [b]) => compareText(a, b))
    .map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`);
  return `{${fields.join(",")}}`;
}

/** SHA-256 of the canonical text, in hex. */
export function canonicalHash(value: Json): string {
  return toHex(sha256(utf8(canonicalJson(value))));
}
