// Replacing a file as a whole: a temporary neighbour, fsync, rename, fsync of the folder.
// Not a format, and no locking.
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf } from "@manyhands/base/errors";
import { StorageError } from "./errors.ts";

export type WriteOptions = {
  /** Permissions of the new file. */
  readonly mode?: number;
  /** Name until the content is whole; needed where several processes may replace one file. */
  readonly temporary?: string;
};

/**
 * After this returns the file has the new content, whatever happens to the machine; before, the
 * old.
 *
 * @throws StorageError with the system's reason; the old content is then still there
 */
export async function replaceFile(
  path: string,
  parts: readonly Uint8Array[],
  options: WriteOptions = {},
): Promise<void> {
  const temporary = options.temporary ?? `${path}.new`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeSynced(temporary, parts, options.mode ?? 0o600);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new StorageError(`${path} could not be written: ${messageOf(cause)}`, { cause });
  }
}

async function writeSynced(
  path: string,
  parts: readonly Uint8Array[],
  mode: number,
): Promise<void> {
  const file = await open(path, "w", mode);
  try {
    for (const part of parts) await file.writeFile(part);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames in a folder durable. Windows has no such call, and refuses to open a folder. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
