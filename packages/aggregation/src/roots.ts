// Roots: the one name of a state, that coordinator, workers and auditors compare (spec §2.2).
// Not a store of chunks: which bytes are kept where is the blob layer's business.
import { assert } from "@manyhands/base/assert";
import { type Bytes, uint64, utf8 } from "@manyhands/base/bytes";
import { blobRoot, hashLeaf, merkleRoot, type Sha256, sha256 } from "@manyhands/base/hash";
import { assertFits, type Fragment, fragmentLength, fragmentOffsets } from "./fragments.ts";

const DTYPE_CODE = { f32: 1 } as const;
const HASH_BYTES = 32;
const HOST_IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Stands where a run without outer momentum has no momentum root. */
export const NO_ROOT: Bytes = new Uint8Array(HASH_BYTES);

/** Little-endian f32 bytes of the values: a view where the host has that order, else a copy. */
export function f32Bytes(values: Float32Array): Bytes {
  if (HOST_IS_LITTLE_ENDIAN) {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
  const out = new DataView(new ArrayBuffer(values.byteLength));
  values.forEach((value, index) => {
    out.setFloat32(index * 4, value, true);
  });
  return new Uint8Array(out.buffer);
}

/**
 * Leaf of one fragment: domain "manyhands/fragment/v1", SHA-256(name), dtype code, rank, dims
 * (each uint64), blob root of its little-endian bytes.
 *
 * @param bytes 4 bytes per element
 * @param hash  SHA-256 for the bulk; the platform's own is ten times faster
 * @source docs/spec §2.2
 */
function fragmentRoot(fragment: Fragment, bytes: Bytes, hash: Sha256): Bytes {
  const { name, shape, dtype } = fragment;
  const expected = fragmentLength(fragment) * 4;
  assert(bytes.length === expected, `${name}: expected ${expected} B, found ${bytes.length}`);
  return hashLeaf(
    "manyhands/fragment/v1",
    sha256(utf8(name)),
    uint64(DTYPE_CODE[dtype]),
    uint64(shape.length),
    ...shape.map(uint64),
    blobRoot(bytes, hash),
  );
}

/** Root of the weights: count of fragments and Merkle root of their leaves. */
export function weightsRoot(
  fragments: readonly Fragment[],
  weights: Float32Array,
  hash: Sha256,
): Bytes {
  return listRoot("manyhands/weights/v1", fragmentRoots(fragments, weights, hash));
}

/** Root of an error-feedback buffer: a worker's residual, or the public one. */
export function feedbackRoot(
  fragments: readonly Fragment[],
  feedback: Float32Array,
  hash: Sha256,
): Bytes {
  return listRoot("manyhands/feedback/v1", fragmentRoots(fragments, feedback, hash));
}

/** Root of the outer momentum, or NO_ROOT in a run that has none. */
export function momentumRoot(
  fragments: readonly Fragment[],
  momentum: Float32Array | undefined,
  hash: Sha256,
): Bytes {
  if (!momentum) return NO_ROOT;
  return listRoot("manyhands/momentum/v1", fragmentRoots(fragments, momentum, hash));
}

/** The leaves, in order: with merklePath, the proof that one fragment is part of a state. */
export function fragmentRoots(
  fragments: readonly Fragment[],
  values: Float32Array,
  hash: Sha256,
): readonly Bytes[] {
  assertFits(fragments, values, "state");
  const offsets = fragmentOffsets(fragments);
  return fragments.map((fragment, index) =>
    fragmentRoot(fragment, f32Bytes(values.subarray(offsets[index], offsets[index + 1])), hash),
  );
}

function listRoot(domain: string, leaves: readonly Bytes[]): Bytes {
  return hashLeaf(domain, uint64(leaves.length), merkleRoot(leaves));
}

/** The roots that a state root binds. */
export type StateRoots = {
  readonly weightsRoot: Bytes;
  readonly feedbackRoot: Bytes;
  /** NO_ROOT, or left out, in a run without outer momentum. */
  readonly momentumRoot?: Bytes;
  /** Rounds that have closed: 0 for the initial weights. */
  readonly round: number;
};

/** Root of the whole public state after `round` rounds (spec §2.2). */
export function stateRoot(roots: StateRoots): Bytes {
  const parts = [roots.weightsRoot, roots.feedbackRoot, roots.momentumRoot ?? NO_ROOT];
  for (const part of parts) assert(part.length === HASH_BYTES, "a root is 32 bytes");
  return hashLeaf("manyhands/state/v1", ...parts, uint64(roots.round));
}
