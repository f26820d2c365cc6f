// A digest of a cleanly closed log file, page by page: rows are guarded by their chain and
// signatures, this guards the bytes between them too. Best effort: it is not there while a
// coordinator runs or after it was killed.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { toHex } from "@manyhands/base/bytes";
import { type Decoded, hex, integer, list, object } from "@manyhands/base/decode";
import { platformSha256 } from "../blobs/blob-hasher.ts";
import { DiskError, errorCodeOf } from "../errors.ts";

const PAGE_BYTES = 4_096;

const digestDecoder = object({
  byteLength: integer(0),
  pages: list(hex(32), { max: Number.MAX_SAFE_INTEGER }),
});
type LogDigest = Decoded<typeof digestDecoder>;

function digestOf(bytes: Uint8Array): LogDigest {
  const pages: string[] = [];
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    pages.push(toHex(platformSha256(bytes.subarray(at, at + PAGE_BYTES))));
  }
  return { byteLength: bytes.length, pages };
}

export function writeDigest(logPath: string, digestPath: string): void {
  try {
    const temporary = `${digestPath}.tmp`;
    writeFileSync(temporary, `${JSON.stringify(digestOf(readFileSync(logPath)))}\n`);
    renameSync(temporary, digestPath);
  } catch (error) {
    throw new DiskError(`writing ${digestPath}`, error);
  }
}

/** What differs between the log file and its digest; null if there is no digest. */
export function digestProblems(logPath: string, digestPath: string): readonly string[] | null {
  let text: string;
  try {
    text = readFileSync(digestPath, "utf8");
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return null;
    throw new DiskError(`reading ${digestPath}`, error);
  }
  const expected = decodeDigest(text);
  if (!expected) return ["log.sqlite.sha256 is no digest"];
  const found = digestOf(readFileSync(logPath));
  const problems: string[] = [];
  if (found.byteLength !== expected.byteLength) {
    problems.push(
      `the file has ${found.byteLength} B, at its close it had ${expected.byteLength} B`,
    );
  }
  for (const [index, page] of expected.pages.entries()) {
    const at = index * PAGE_BYTES;
    if (found.pages[index] !== page) {
      problems.push(`page ${index + 1} (bytes ${at} to ${at + PAGE_BYTES - 1}): byte hash differs`);
    }
  }
  return problems;
}

function decodeDigest(text: string): LogDigest | null {
  try {
    const decoded = digestDecoder(JSON.parse(text));
    return decoded.ok ? decoded.value : null;
  } catch {
    // No JSON at all is no digest either.
    return null;
  }
}
