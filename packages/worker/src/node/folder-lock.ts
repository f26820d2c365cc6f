// One process per worker folder: a file with the process id, taken over when that process is gone.
// Not a lock between machines: a process id means nothing on another one.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { messageOf } from "@manyhands/base/errors";
import { StorageError } from "../host/errors.ts";
import { FolderInUseError } from "./errors.ts";

export type FolderLock = { release(): void };

/** @throws FolderInUseError if a living process holds the folder; StorageError */
export function lockFolder(folder: string): FolderLock {
  const path = resolve(folder, "lock");
  makeFolder(resolve(folder));
  // Twice: the first try may find the file of a process that is gone, and removes it.
  for (let tries = 0; tries < 2; tries++) {
    if (create(path)) return held(path);
    const holder = holderOf(path);
    if (holder !== null && isAlive(holder, path)) throw new FolderInUseError(folder, holder);
    rmSync(path, { force: true });
  }
  throw new StorageError(`${path} could not be taken: another process takes it again and again`);
}

/** With its parents. Not `recursive`: under /proc and its like Node 24 tries that for ever. */
function makeFolder(folder: string): void {
  if (isFolder(folder)) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (cause) {
    if (isFolder(folder)) return; // another worker that starts just now was faster
    throw new StorageError(`the folder ${folder} could not be made: ${messageOf(cause)}`, {
      cause,
      hint: "Give a folder that this user may write in, or one whose parent it may.",
    });
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Folders held by this very process: its own id in a file says nothing about them. */
const HELD_HERE = new Set<string>();

function held(path: string): FolderLock {
  HELD_HERE.add(path);
  return {
    release() {
      if (HELD_HERE.delete(path)) rmSync(path, { force: true });
    },
  };
}

function create(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}\n`, { flag: "wx" });
    return true;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false;
    throw new StorageError(`${path} could not be written: ${messageOf(cause)}`, { cause });
  }
}

/** Null if the file has gone or is torn: then its writer died while starting. */
function holderOf(path: string): number | null {
  try {
    const pid = Number.parseInt(readFileSync(path, "utf8"), 10);
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
  } catch {
    // Removed since: the next try finds it free.
    return null;
  }
}

function isAlive(pid: number, path: string): boolean {
  // A restarted container gives the same small numbers again: our own number is a left-over.
  if (pid === process.pid) return HELD_HERE.has(path);
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM";
  }
}
