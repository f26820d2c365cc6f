// Operating errors of the coordinator: folder, disk, log. Each builds its sentence from facts.
// Not rejections: what a peer may not do is data (protocol/rejects).
import { type ErrorDetails, ManyhandsError } from "@manyhands/base/errors";

/** Another process has the run folder open. */
export class FolderLockedError extends ManyhandsError {
  override readonly name = "FolderLockedError";
  constructor(folder: string, details: ErrorDetails = {}) {
    super(`the run folder ${folder} is in use by another process`, {
      hint: "stop the other coordinator of this run, or use another folder",
      ...details,
    });
  }
}

/** A row of the log is not what the chain, the signature or the protocol says it must be. */
export class CorruptLogError extends ManyhandsError {
  override readonly name = "CorruptLogError";
  /** Null if the file as a whole is unreadable. */
  readonly row: number | null;
  constructor(row: number | null, problem: string, details: ErrorDetails = {}) {
    super(row === null ? `log.sqlite: ${problem}` : `log.sqlite, row ${row}: ${problem}`, {
      hint: "run `manyhands verify` on the folder, and restore the file from a copy",
      ...details,
    });
    this.row = row;
  }
}

/** Somebody appended in between: the log's head is not the one that the caller built upon. */
export class LogConflictError extends ManyhandsError {
  override readonly name = "LogConflictError";
  constructor(expectedHead: string, foundHead: string) {
    super(`the log's head is ${foundHead}, but the caller expected ${expectedHead}`, {
      hint: "two coordinators of one run must not append to one log",
    });
  }
}

/** A blob on disk has other bytes than its name says. */
export class DamagedBlobError extends ManyhandsError {
  override readonly name = "DamagedBlobError";
  constructor(root: string, problem: string) {
    super(`blob ${root}: ${problem}`, {
      hint: "restore the file from a copy; its name is the hash of its bytes",
    });
  }
}

/** The run folder lacks something that it must have. */
export class RunFolderError extends ManyhandsError {
  override readonly name = "RunFolderError";
}

/** Reading or writing failed: full disk, missing rights, broken device. */
export class DiskError extends ManyhandsError {
  override readonly name = "DiskError";
  readonly full: boolean;
  constructor(doing: string, cause: unknown) {
    const code = errorCodeOf(cause);
    const full = code === "ENOSPC" || code === "EDQUOT" || sqliteCodeOf(cause) === SQLITE_FULL;
    super(full ? `${doing}: the disk is full` : `${doing}: ${sentenceOf(cause)}`, {
      cause,
      hint: full ? "free some space; the run goes on by itself" : "check the folder and its rights",
    });
    this.full = full;
  }
}

/** The port is taken, or the address is not this machine's. */
export class ListenError extends ManyhandsError {
  override readonly name = "ListenError";
  constructor(host: string, port: number, cause: unknown) {
    super(`cannot listen on ${host}:${port}: ${sentenceOf(cause)}`, {
      cause,
      hint: "choose another --port, or 0 for any free one",
    });
  }
}

/** `ENOENT` and its like, if the caught value has one. */
export function errorCodeOf(caught: unknown): string | undefined {
  const tagged = caught instanceof Error && "code" in caught;
  return tagged && typeof caught.code === "string" ? caught.code : undefined;
}

const SQLITE_FULL = 13;

/** SQLite's primary result code, if the caught value has one. */
export function sqliteCodeOf(caught: unknown): number | undefined {
  const tagged = caught instanceof Error && "errcode" in caught;
  return tagged && typeof caught.errcode === "number" ? caught.errcode & 0xff : undefined;
}

function sentenceOf(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught);
}

/** The folder of the page cannot be served. */
export class PageError extends ManyhandsError {
  override readonly name = "PageError";

  constructor(folder: string, why: string) {
    super(`${folder} is not a built page: ${why}`, { hint: "build it: npm run build -w apps/web" });
  }
}
