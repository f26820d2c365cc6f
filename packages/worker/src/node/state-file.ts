// The form of a kept file: a line that names it, a line of canonical JSON, bytes, and a SHA-256
// over all of it. Not what is in it: host/persistence.ts.
import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import { err, ok, type Result } from "@manyhands/base/result";

/** First line of every kept file. Another form gets another number. */
const MAGIC = "manyhands worker state 1\n";
const DIGEST_BYTES = 32;
const NEWLINE = 10;

export type StateContent = { readonly header: unknown; readonly payload: Uint8Array };

/** The file's bytes, in parts. */
export function sealState(header: Json, parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const head = Buffer.from(`${MAGIC}${canonicalJson(header)}\n`);
  const hash = createHash("sha256").update(head);
  for (const part of parts) hash.update(part);
  return [head, ...parts, hash.digest()];
}

/** Header and payload, or why the bytes are not a whole file of this form. */
export function openState(bytes: Uint8Array): Result<StateContent, string> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!file.subarray(0, MAGIC.length).equals(Buffer.from(MAGIC))) {
    return err("it does not begin as such a file does");
  }
  const body = file.subarray(0, -DIGEST_BYTES);
  const digest = createHash("sha256").update(body).digest();
  if (!digest.equals(file.subarray(-DIGEST_BYTES))) return err("its checksum is wrong");
  const headerEnd = body.indexOf(NEWLINE, MAGIC.length);
  if (headerEnd < 0) return err("it has no header");
  const header: unknown = JSON.parse(body.subarray(MAGIC.length, headerEnd).toString());
  return ok({ header, payload: body.subarray(headerEnd + 1) });
}
