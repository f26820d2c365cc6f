// Bodies that are small enough to be held in memory. Blobs are streams: blob-routes.ts.
import type { Readable } from "node:stream";

/** @returns null for a body that is longer */
export async function readAtMost(body: Readable, bytesMax: number): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    const piece: Uint8Array = chunk;
    length += piece.length;
    if (length > bytesMax) return null;
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces));
}
