// The root of a blob whose bytes come in pieces of any size. Not for bytes in memory: base/hash has
// blobRoot.
import { createHash, type Hash } from "node:crypto";
import { type Bytes, toHex } from "@manyhands/base/bytes";
import { blobRoot, CHUNK_BYTES, manifestRoot, type Sha256 } from "@manyhands/base/hash";

/** The platform's SHA-256: ten times faster than the portable one. */
export const platformSha256: Sha256 = (bytes) =>
  new Uint8Array(createHash("sha256").update(bytes).digest());

/** The content address of bytes in memory, in hex. */
export function rootOfBytes(bytes: Bytes): string {
  return toHex(blobRoot(bytes, platformSha256));
}

export class BlobHasher {
  #chunk: Hash = createHash("sha256");
  #chunkBytes = 0;
  #byteLength = 0;
  readonly #chunks: Bytes[] = [];

  get byteLength(): number {
    return this.#byteLength;
  }

  update(bytes: Bytes): void {
    let at = 0;
    while (at < bytes.length) {
      const end = Math.min(bytes.length, at + CHUNK_BYTES - this.#chunkBytes);
      this.#chunk.update(bytes.subarray(at, end));
      this.#chunkBytes += end - at;
      this.#byteLength += end - at;
      at = end;
      if (this.#chunkBytes === CHUNK_BYTES) this.#endChunk();
    }
  }

  /** The root over everything so far; no update may follow. */
  root(): string {
    if (this.#chunkBytes > 0) this.#endChunk();
    return toHex(manifestRoot({ byteLength: this.#byteLength, chunks: this.#chunks }));
  }

  #endChunk(): void {
    this.#chunks.push(new Uint8Array(this.#chunk.digest()));
    this.#chunk = createHash("sha256");
    this.#chunkBytes = 0;
  }
}
