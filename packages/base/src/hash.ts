// SHA-256, domain separation and Merkle trees. Leaves are fixed-width binary, so that a contract
// can recompute them. No files and no streams: a blob is hashed from bytes in memory.
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { assert } from "./assert.ts";
import { type Bytes, concatBytes, uint64, utf8 } from "./bytes.ts";

/** SHA-256 as an argument: bulk hashing passes the platform's own, which is ten times faster. */
export type Sha256 = (bytes: Bytes) => Bytes;

export const sha256: Sha256 = nobleSha256;

/** A piece of a content-addressed blob, in bytes (design, decision 6). */
export const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * Domain-separated hash: SHA-256(SHA-256(domain) ‖ parts…). Parts have a fixed width per domain,
 * so two different leaves never share a preimage.
 */
export function hashLeaf(domain: string, ...parts: readonly Bytes[]): Bytes {
  return sha256(concatBytes(sha256(utf8(domain)), ...parts));
}

const NODE = "manyhands/merkle-node/v1";
const EMPTY = "manyhands/merkle-empty/v1";

/**
 * Root of a binary Merkle tree over leaves in the given order; an odd node is carried up unchanged.
 * The root of no leaves is a constant. The leaf count is hashed in by the caller where it matters.
 */
export function merkleRoot(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 0) return hashLeaf(EMPTY);
  let level = leaves;
  while (level.length > 1) level = parents(level);
  return level[0] as Bytes;
}

/** One step of a path: the sibling and on which side it stands. */
export type MerkleStep = { readonly side: "left" | "right"; readonly hash: Bytes };

/** The path from a leaf to the root. */
export function merklePath(leaves: readonly Bytes[], index: number): MerkleStep[] {
  const exists = Number.isInteger(index) && index >= 0 && index < leaves.length;
  assert(exists, `no leaf ${index} among ${leaves.length}`);
  const path: MerkleStep[] = [];
  let level = leaves;
  let at = index;
  while (level.length > 1) {
    const sibling = level[at ^ 1];
    if (sibling) path.push({ side: at % 2 === 0 ? "right" : "left", hash: sibling });
    level = parents(level);
    at >>= 1;
  }
  return path;
}

/** The root that a leaf and its path lead to. */
export function merkleClimb(leaf: Bytes, path: readonly MerkleStep[]): Bytes {
  return path.reduce(
    (node, step) =>
      step.side === "left" ? hashLeaf(NODE, step.hash, node) : hashLeaf(NODE, node, step.hash),
    leaf,
  );
}

function parents(level: readonly Bytes[]): Bytes[] {
  const next: Bytes[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const left = level[i] as Bytes;
    const right = level[i + 1];
    next.push(right ? hashLeaf(NODE, left, right) : left);
  }
  return next;
}

/** What a blob is made of: SHA-256 of each chunk of CHUNK_BYTES (the last may be shorter). */
export type BlobManifest = { readonly byteLength: number; readonly chunks: readonly Bytes[] };

export function blobManifest(bytes: Bytes, hash: Sha256): BlobManifest {
  const chunks: Bytes[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    chunks.push(hash(bytes.subarray(at, at + CHUNK_BYTES)));
  }
  return { byteLength: bytes.length, chunks };
}

/** The name of a blob: its length and chunk hashes under one domain. */
export function manifestRoot(manifest: BlobManifest): Bytes {
  const count = Math.ceil(manifest.byteLength / CHUNK_BYTES);
  assert(
    manifest.chunks.length === count,
    `a blob of ${manifest.byteLength} B has ${count} chunks`,
  );
  return hashLeaf("manyhands/blob/v1", uint64(manifest.byteLength), merkleRoot(manifest.chunks));
}

/** The content address of bytes. */
export function blobRoot(bytes: Bytes, hash: Sha256): Bytes {
  return manifestRoot(blobManifest(bytes, hash));
}
