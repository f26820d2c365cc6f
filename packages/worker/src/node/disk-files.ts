// A run's kept files on disk, each replaced atomically and checked when read.
// A damaged one is set aside, never deleted: somebody may want to look at it.
import { appendFile, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import { messageOf } from "@manyhands/base/errors";
import { StorageError } from "../host/errors.ts";
import type { ReadFile, RunFiles, StateFile } from "../host/ports.ts";
import { replaceFile } from "./atomic-file.ts";
import { openState, sealState } from "./state-file.ts";

/** Losing one of these loses work. The others only save time, and their checksum finds a loss. */
const MUST_LAST: readonly StateFile[] = ["residual", "update"];

export class DiskFiles implements RunFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(file: StateFile, notice: (sentence: string) => void): Promise<ReadFile | null> {
    const path = this.#path(file);
    const bytes = await readIfThere(path);
    if (!bytes) return null;
    const content = openState(bytes);
    if (content.ok) return content.value;
    await rename(path, `${path}.damaged`);
    notice(
      `${path} is damaged (${content.error}); it is set aside as ${file}.bin.damaged, ` +
        "and this worker starts without it.",
    );
    return null;
  }

  async write(file: StateFile, header: Json, parts: readonly Uint8Array[]): Promise<void> {
    const durable = MUST_LAST.includes(file);
    await replaceFile(this.#path(file), sealState(header, parts), { durable });
  }

  async remove(file: StateFile): Promise<void> {
    await rm(this.#path(file), { force: true });
  }

  async addReceipt(receipt: Json): Promise<void> {
    const path = join(this.#folder, "receipts.ndjson");
    try {
      await mkdir(this.#folder, { recursive: true });
      await appendFile(path, `${canonicalJson(receipt)}\n`);
    } catch (cause) {
      throw new StorageError(`${path} could not be written: ${messageOf(cause)}`, { cause });
    }
  }

  #path(file: StateFile): string {
    return join(this.#folder, `${file}.bin`);
  }
}

/** The file's bytes, or null if there is no such file. */
export async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw new StorageError(`${path} could not be read: ${messageOf(cause)}`, { cause });
  }
}

function isMissing(caught: unknown): boolean {
  return caught instanceof Error && "code" in caught && caught.code === "ENOENT";
}
