// Blobs that a page keeps by name: in the origin's private files where the browser has them, else
// nowhere. What is read is verified: a file torn by a crash is fetched anew. Worker threads only.
import { toHex } from "@manyhands/base/bytes";
import { blobRoot, type Sha256 } from "@manyhands/base/hash";
import type { BlobKeeper } from "../host/api-port.ts";
import { storageError } from "./shelf.ts";

/** Old checkpoints are of no use. */
const CHECKPOINTS_KEPT = 2;

/** What only worker threads have of a file; the types of pages lack it. */
type SyncAccess = {
  truncate(length: number): void;
  write(bytes: Uint8Array): number;
  flush(): void;
  close(): void;
};

function openSync(file: FileSystemFileHandle): Promise<SyncAccess> {
  return (
    file as unknown as { createSyncAccessHandle(): Promise<SyncAccess> }
  ).createSyncAccessHandle();
}

type Wanted = Parameters<BlobKeeper["get"]>[0];

export class BlobFolder implements BlobKeeper {
  readonly #root: FileSystemDirectoryHandle;
  readonly #hash: Sha256;
  readonly #notice: (sentence: string) => void;

  constructor(root: FileSystemDirectoryHandle, hash: Sha256, notice: (sentence: string) => void) {
    this.#root = root;
    this.#hash = hash;
    this.#notice = notice;
  }

  async get(wanted: Wanted, fetch: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const { root, byteLength, use } = wanted;
    const kept = await this.#read(root, byteLength);
    if (kept && toHex(blobRoot(kept, this.#hash)) === root) return kept;
    const bytes = await fetch();
    await this.#keep(root, bytes);
    if (use === "checkpoint") await this.#dropOldCheckpoints(root);
    return bytes;
  }

  /** Bytes of these blobs that are here already, by their length alone. */
  async keptBytes(blobs: readonly Pick<Wanted, "root" | "byteLength">[]): Promise<number> {
    let sum = 0;
    for (const { root, byteLength } of blobs) {
      const file = await this.#file(root);
      if (file?.size === byteLength) sum += byteLength;
    }
    return sum;
  }

  async #file(root: string): Promise<File | null> {
    try {
      return await (await this.#root.getFileHandle(root)).getFile();
    } catch {
      // Not there, or not readable: both mean that it is fetched.
      return null;
    }
  }

  async #read(root: string, byteLength: number): Promise<Uint8Array | null> {
    const file = await this.#file(root);
    return file?.size === byteLength ? new Uint8Array(await file.arrayBuffer()) : null;
  }

  async #keep(root: string, bytes: Uint8Array): Promise<void> {
    try {
      const file = await this.#root.getFileHandle(root, { create: true });
      const access = await openSync(file);
      try {
        access.truncate(0);
        access.write(Uint8Array.from(bytes));
        access.flush();
      } finally {
        access.close();
      }
    } catch (caught) {
      await this.#root.removeEntry(root).catch(() => undefined);
      const { message } = storageError("the data could not be kept for the next visit", caught);
      this.#notice(`Going on all the same: ${message}.`);
    }
  }

  /** Their names are remembered in a list, newest last: names of blobs say nothing of their age. */
  async #dropOldCheckpoints(newest: string): Promise<void> {
    const listName = "checkpoints.txt";
    const list = await this.#file(listName);
    const known = list ? (await list.text()).split("\n").filter((name) => name !== newest) : [];
    const names = [...known, newest].filter((name) => name !== "");
    for (const old of names.slice(0, -CHECKPOINTS_KEPT)) {
      await this.#root.removeEntry(old).catch(() => undefined);
    }
    await this.#keep(listName, new TextEncoder().encode(names.slice(-CHECKPOINTS_KEPT).join("\n")));
  }
}

const NOWHERE: BlobKeeper & Pick<BlobFolder, "keptBytes"> = {
  get: (_, fetch) => fetch(),
  keptBytes: async () => 0,
};

/** The page's blobs; in a private window, or without a secure context, nothing is kept. */
export async function openBlobs(
  hash: Sha256,
  notice: (sentence: string) => void,
): Promise<BlobKeeper & Pick<BlobFolder, "keptBytes">> {
  try {
    const top = await navigator.storage.getDirectory();
    const folder = await top.getDirectoryHandle("manyhands-blobs", { create: true });
    return new BlobFolder(folder, hash, notice);
  } catch {
    return NOWHERE;
  }
}
