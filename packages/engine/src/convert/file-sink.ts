// A big file, written part by part: complete under its name, or not there. Node only; it knows no
// format.
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ManyhandsError } from "@manyhands/base/errors";
import { ExportError } from "../checkpoint/node-folder.ts";

/** Appends bytes; they are on their way to the disk when it returns. */
export type Write = (bytes: Uint8Array) => Promise<void>;

/**
 * Lets `fill` write a file beside the target, makes it durable, and gives it the target's name.
 *
 * @throws ExportError if the disk refuses; other errors of ours pass as they are
 */
export async function writeWhole(
  target: string,
  fill: (write: Write) => Promise<void>,
): Promise<void> {
  const path = resolve(target);
  const fresh = join(dirname(path), `.${basename(path)}.new`);
  try {
    await rm(fresh, { force: true });
    const file = await open(fresh, "wx");
    try {
      await fill((bytes) => writeAll(file, bytes));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (cause) {
    await rm(fresh, { force: true });
    if (cause instanceof ManyhandsError) throw cause;
    throw new ExportError(target, cause);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done);
    done += bytesWritten;
  }
}
