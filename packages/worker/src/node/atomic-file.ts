// Replacing a file as a whole: a temporary neighbour, fsync, rename, fsync of the folder.
// Not a format, and no locking.
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf } from "@manyhands/base/errors";
import { StorageError } from "../host/errors.ts";

export type WriteOptions = {
  /** Permissions of the new file. */
  readonly mode?: number;
  /** Name until the content is whole; needed where several processes may replace one file. */
  readonly temporary?: string;
  /** Wait for the disk. Default true; without, a power cut may leave any bytes. */
  readonly durable?: boolean;
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
  const { temporary = `${path}.new`, durable = true, mode = 0o600 } = options;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "w", mode);
    try {
      for (const part of parts) await file.writeFile(part);
      if (durable) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    if (durable) await syncFolder(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new StorageError(`${path} could not be written: ${messageOf(cause)}`, { cause });
  }
}

/** Makes renames in a folder durable. Windows has no such call, and refuses to open a folder. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
