// What can go wrong between us, the Hub and the disk: each with a hint that says what to do.
// A wrong name in a flag is an InputError of reference.ts.
import { ManyhandsError } from "@manyhands/base/errors";

export type HubCode =
  | "hub/not-found"
  | "hub/no-revision"
  | "hub/no-file"
  | "hub/unauthorized"
  | "hub/gated"
  | "hub/offline"
  | "hub/network"
  | "hub/answer"
  | "hub/corrupt"
  | "hub/pickle"
  | "hub/disk";

/** The Hub, the way to it, or the disk refused. */
export class HubError extends ManyhandsError {
  override readonly name = "HubError";
  readonly code: HubCode;

  constructor(code: HubCode, message: string, details: { hint: string; cause?: unknown }) {
    super(`${message} (${code})`, details);
    this.code = code;
  }
}

/** The code of a system error, such as ENOSPC. */
export function systemCode(caught: unknown): string | undefined {
  const code: unknown =
    typeof caught === "object" && caught !== null ? Reflect.get(caught, "code") : undefined;
  return typeof code === "string" ? code : undefined;
}

const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** A refusal of the disk in a sentence. What was fetched so far stays and is continued. */
export function diskError(path: string, cause: unknown): HubError {
  const code = systemCode(cause);
  const full = code !== undefined && FULL.has(code);
  const what = full ? "the disk is full" : `the disk refused (${code ?? String(cause)})`;
  return new HubError("hub/disk", `${path}: ${what}`, {
    hint: full
      ? "free some space, or set HF_HOME to a folder on another disk; the download continues"
      : "check the folder's permissions, or set HF_HOME to a folder that can be written",
    cause,
  });
}
