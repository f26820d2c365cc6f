// Canonical JSON (RFC 8785): one value, one text, so that its hash is a name.
// Not a parser: text from outside goes through JSON.parse and a decoder (decode.ts).
import { assert } from "./assert.ts";
import { compareText, toHex, utf8 } from "./bytes.ts";
import { sha256 } from "./hash.ts";

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/**
 * RFC 8785 text: keys in code-unit order, numbers in ECMAScript's shortest round-trip form, no
 * spaces. A key whose value is undefined is left out.
 *
 * @throws AssertionError on NaN, infinities and lone surrogates, which have no canonical text
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "string") return canonicalText(value);
  if (typeof value === "number") {
    assert(Number.isFinite(value), `canonical JSON has no text for ${value}`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields = Object.entries(value as { [key: string]: Json | undefined })
    .filter((field): field is [string, Json] => field[1] !== undefined)
    .sort(([a], [b]) => compareText(a, b))
    .map(([key, field]) => `${canonicalText(key)}:${canonicalJson(field)}`);
  return `{${fields.join(",")}}`;
}

/** RFC 8785 §3.2.2.2 refuses lone surrogates: UTF-8 has no bytes for them. */
function canonicalText(text: string): string {
  assert(
    text.isWellFormed(),
    `canonical JSON has no text for the lone surrogate in ${JSON.stringify(text.slice(0, 60))}`,
  );
  return JSON.stringify(text);
}

/** SHA-256 of the canonical text, in hex. */
export function canonicalHash(value: Json): string {
  return toHex(sha256(utf8(canonicalJson(value))));
}
