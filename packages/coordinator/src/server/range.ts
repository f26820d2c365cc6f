// The Range header: one range of bytes (RFC 9110 §14). Lists of ranges are not served: the whole
// blob is.
import { err, ok, type Result } from "@manyhands/base/result";
import type { ByteRange } from "../blobs/blob-store.ts";

const ONE_RANGE = /^bytes=(\d{0,15})-(\d{0,15})$/;

/** The asked part of `size` bytes; null for all of it; an error if it lies outside (416). */
export function parseRange(
  header: string | undefined,
  size: number,
): Result<ByteRange | null, "outside"> {
  const match = ONE_RANGE.exec(header?.trim() ?? "");
  if (!match) return ok(null);
  const [first, last] = [match[1] ?? "", match[2] ?? ""];
  if (first === "" && last === "") return ok(null);
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? err("outside") : ok({ from: size - length, to: size });
  }
  const from = Number(first);
  const to = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < from) return ok(null);
  return from >= size ? err("outside") : ok({ from, to });
}
