// Content-addressed bytes: a blob's name is the root over its 4 MiB chunks (docs/spec/04-log-and-
// blobs.md §4.3). Not a cache and not access control: who may read or write which blob is the
// core's and the server's business.
import type { Readable } from "node:stream";
import type { Bytes } from "@manyhands/base/bytes";
import type { Result } from "@manyhands/base/result";
import type { Reject } from "@manyhands/protocol/rejects";

/** Half-open range of bytes. */
export type ByteRange = { readonly from: number; readonly to: number };

/** A blob on its way in. Either `finish` or `abort` ends it. */
export type BlobUpload = {
  write(chunk: Bytes): Promise<void>;
  /**
   * Keeps the blob if its root is the expected one; durable on return. Else nothing stays:
   * `blob/hash`.
   */
  finish(expectedRoot: string): Promise<Result<{ readonly byteLength: number }, Reject>>;
  abort(): Promise<void>;
};

/** What the core uses: whole blobs, at once, so that a round's end is one step in time. */
export type CoreBlobs = {
  /** Bytes of a blob, or null if it is not here. */
  size(root: string): number | null;
  /** A blob, checked against its name. Null if it is not here. @throws DamagedBlobError */
  read(root: string): Bytes | null;
  /** Stores bytes, durable on return. @returns their root @throws DiskError */
  write(bytes: Bytes): string;
  /** Forgets a blob; one that is not here is no error. */
  remove(root: string): void;
  /** Every blob that is here, in no particular order. */
  roots(): readonly string[];
};

/** What the server uses beside: streams of any length. */
export type BlobStore = CoreBlobs & {
  upload(): Promise<BlobUpload>;
  /** A part of a blob that is here. Not checked against its name: the reader does that. */
  stream(root: string, range: ByteRange): Readable;
};
