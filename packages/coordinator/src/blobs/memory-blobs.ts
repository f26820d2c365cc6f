// Blobs in memory: for the simulator and for tests. Nothing survives the process.
import { Readable } from "node:stream";
import { assert, defined } from "@manyhands/base/assert";
import { type Bytes, concatBytes } from "@manyhands/base/bytes";
import { err, ok } from "@manyhands/base/result";
import { reject } from "@manyhands/protocol/rejects";
import { rootOfBytes } from "./blob-hasher.ts";
import type { BlobStore, BlobUpload, ByteRange } from "./blob-store.ts";

export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<string, Bytes>();

  size(root: string): number | null {
    return this.#blobs.get(root)?.length ?? null;
  }

  read(root: string): Bytes | null {
    return this.#blobs.get(root)?.slice() ?? null;
  }

  write(bytes: Bytes): string {
    const root = rootOfBytes(bytes);
    this.#blobs.set(root, bytes.slice());
    return root;
  }

  remove(root: string): void {
    this.#blobs.delete(root);
  }

  roots(): readonly string[] {
    return [...this.#blobs.keys()];
  }

  async upload(): Promise<BlobUpload> {
    const chunks: Bytes[] = [];
    return {
      write: async (chunk) => {
        chunks.push(chunk.slice());
      },
      finish: async (expectedRoot) => {
        const bytes = concatBytes(...chunks);
        const found = rootOfBytes(bytes);
        if (found !== expectedRoot) {
          return err(reject("blob/hash", `expected ${expectedRoot}, but the bytes are ${found}`));
        }
        this.#blobs.set(found, bytes);
        return ok({ byteLength: bytes.length });
      },
      abort: async () => {
        chunks.length = 0;
      },
    };
  }

  stream(root: string, range: ByteRange): Readable {
    const bytes = defined(this.#blobs.get(root), `no blob ${root}`);
    assert(range.from >= 0 && range.to <= bytes.length, "a range lies inside its blob");
    return Readable.from([Buffer.from(bytes.slice(range.from, range.to))], { objectMode: false });
  }
}
