// A run folder on disk: where things are, and the lock that one process at a time holds.
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DiskError, FolderLockedError } from "./errors.ts";

export type RunPaths = {
  readonly folder: string;
  readonly log: string;
  readonly digest: string;
  readonly blobs: string;
  readonly keys: string;
  readonly lock: string;
  readonly exportFolder: string;
  readonly exportedModel: string;
};

export function runPaths(folder: string): RunPaths {
  return {
    folder,
    log: join(folder, "log.sqlite"),
    digest: join(folder, "log.sqlite.sha256"),
    blobs: join(folder, "blobs"),
    keys: join(folder, "keys.json"),
    lock: join(folder, "lock.sqlite"),
    exportFolder: join(folder, "export"),
    exportedModel: join(folder, "export", "model.safetensors"),
  };
}

/**
 * With its parents. Not `recursive`: where a file system says "no such file" under a folder that is
 * there (as /proc does), Node 24 tries for ever.
 */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    if (!existsSync(folder)) throw error; // else another process was faster
  }
}

/**
 * Makes the folder if needed and locks it. The lock is SQLite's own, on a file of its own: the
 * operating system frees it whenever the process ends, however it ends.
 *
 * @returns how to free it
 * @throws  FolderLockedError, DiskError
 */
export function lockFolder(paths: RunPaths): () => void {
  try {
    makeFolder(resolve(paths.folder));
  } catch (error) {
    throw new DiskError(`making ${paths.folder}`, error);
  }
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(paths.lock, { timeout: 0 });
  } catch (error) {
    throw new DiskError(`opening ${paths.lock}`, error);
  }
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw new FolderLockedError(paths.folder, { cause: error });
  }
  return () => {
    if (database.isOpen) database.close();
  };
}
