// Blobs as files: <folder>/ab/cdef…, written to a temporary name, fsynced, renamed, folder fsynced.
// A file under its final name is therefore whole, whenever the process or the power went.
import {
  closeSync,
  createReadStream,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { assert } from "@manyhands/base/assert";
import { type Bytes, isHex } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import { type Reject, reject } from "@manyhands/protocol/rejects";
import { DamagedBlobError, DiskError, errorCodeOf } from "../errors.ts";
import { BlobHasher, rootOfBytes } from "./blob-hasher.ts";
import type { BlobStore, BlobUpload, ByteRange } from "./blob-store.ts";

const TEMPORARY = "tmp";
const ROOT_BYTES = 32;

/**
 * The reading half: changes nothing in the folder, so that a run can be looked at while it goes.
 */
export class BlobFolder {
  protected readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Where a blob is, if it is here. */
  path(root: string): string {
    assert(isHex(root, ROOT_BYTES), `a blob's name is 32 bytes in hex, found ${root}`);
    return join(this.folder, root.slice(0, 2), root.slice(2));
  }

  size(root: string): number | null {
    return guarded(`looking for blob ${root}`, () => {
      return statSync(this.path(root), { throwIfNoEntry: false })?.size ?? null;
    });
  }

  read(root: string): Bytes | null {
    const bytes = guarded(`reading blob ${root}`, () => readIfThere(this.path(root)));
    if (bytes !== null && rootOfBytes(bytes) !== root) {
      throw new DamagedBlobError(root, "its bytes have another hash");
    }
    return bytes;
  }

  roots(): readonly string[] {
    return guarded(`listing ${this.folder}`, () =>
      readdirSync(this.folder)
        .filter((prefix) => isHex(prefix, 1))
        .flatMap((prefix) =>
          readdirSync(join(this.folder, prefix)).map((rest) => `${prefix}${rest}`),
        )
        .filter((root) => isHex(root, ROOT_BYTES)),
    );
  }
}

export class DiskBlobs extends BlobFolder implements BlobStore {
  #uploads = 0;

  /** Makes the folder if needed, and clears what unfinished writes left in it. */
  constructor(folder: string) {
    super(folder);
    guarded(`preparing ${folder}`, () => {
      rmSync(join(folder, TEMPORARY), { recursive: true, force: true });
      mkdirSync(join(folder, TEMPORARY), { recursive: true });
    });
  }

  write(bytes: Bytes): string {
    const root = rootOfBytes(bytes);
    if (this.size(root) === bytes.length) return root;
    const temporary = this.#temporaryPath();
    guarded(`writing blob ${root}`, () => {
      try {
        const file = openSync(temporary, "wx");
        try {
          writeAll(file, bytes);
          fsyncSync(file);
        } finally {
          closeSync(file);
        }
        this.#keep(temporary, root);
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      }
    });
    return root;
  }

  remove(root: string): void {
    guarded(`removing blob ${root}`, () => rmSync(this.path(root), { force: true }));
  }

  async upload(): Promise<BlobUpload> {
    const temporary = this.#temporaryPath();
    const handle = await guardedAsync("opening a file for an upload", () => open(temporary, "wx"));
    return new DiskUpload({ handle, temporary, keep: (root) => this.#keep(temporary, root) });
  }

  stream(root: string, range: ByteRange): Readable {
    assert(range.from < range.to, "a stream has at least one byte");
    return createReadStream(this.path(root), { start: range.from, end: range.to - 1 });
  }

  #temporaryPath(): string {
    this.#uploads += 1;
    return join(this.folder, TEMPORARY, `${process.pid}-${this.#uploads}`);
  }

  /** Gives a finished file its name; the name is durable on return. */
  #keep(temporary: string, root: string): void {
    const path = this.path(root);
    if (mkdirSync(dirname(path), { recursive: true }) !== undefined) syncFolder(this.folder);
    renameSync(temporary, path);
    syncFolder(dirname(path));
  }
}

type DiskUploadParts = {
  readonly handle: FileHandle;
  readonly temporary: string;
  readonly keep: (root: string) => void;
};

class DiskUpload implements BlobUpload {
  readonly #parts: DiskUploadParts;
  readonly #hasher = new BlobHasher();

  constructor(parts: DiskUploadParts) {
    this.#parts = parts;
  }

  async write(chunk: Bytes): Promise<void> {
    this.#hasher.update(chunk);
    await guardedAsync("writing an upload", () => this.#parts.handle.writeFile(chunk));
  }

  async finish(expectedRoot: string): Promise<Result<{ byteLength: number }, Reject>> {
    const found = this.#hasher.root();
    if (found !== expectedRoot) {
      await this.abort();
      return err(reject("blob/hash", `expected ${expectedRoot}, but the bytes are ${found}`));
    }
    await guardedAsync(`keeping blob ${found}`, async () => {
      try {
        await this.#parts.handle.sync();
        await this.#parts.handle.close();
        this.#parts.keep(found);
      } catch (error) {
        await this.abort();
        throw error;
      }
    });
    return ok({ byteLength: this.#hasher.byteLength });
  }

  async abort(): Promise<void> {
    await guardedAsync("dropping an upload", async () => {
      await this.#parts.handle.close();
      await rm(this.#parts.temporary, { force: true });
    });
  }
}

function readIfThere(path: string): Bytes | null {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** One call may write less than it was given. */
function writeAll(file: number, bytes: Bytes): void {
  let at = 0;
  while (at < bytes.length) at += writeSync(file, bytes, at);
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function guarded<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof Error && errorCodeOf(error) ? new DiskError(doing, error) : error;
  }
}

async function guardedAsync<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof Error && errorCodeOf(error) ? new DiskError(doing, error) : error;
  }
}
