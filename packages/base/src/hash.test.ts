// SHA-256, Merkle trees and blob names, against Node's own hash and a second, dumb construction.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { type Bytes, concatBytes, toHex, uint64, utf8 } from "./bytes.ts";
import {
  blobManifest,
  blobRoot,
  CHUNK_BYTES,
  hashLeaf,
  manifestRoot,
  merkleClimb,
  merklePath,
  merkleRoot,
  sha256,
} from "./hash.ts";

function nodeSha256(...parts: readonly Bytes[]): Bytes {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

const leavesOf = (count: number): Bytes[] =>
  Array.from({ length: count }, (_, index) => hashLeaf("test/leaf", uint64(index)));

test("sha256 of the standard's texts, and Node's for any bytes", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.equal(toHex(sha256(utf8("abc"))), abc);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.deepEqual(sha256(bytes), nodeSha256(bytes));
    }),
  );
});

test("hashLeaf: SHA-256(SHA-256(domain) ‖ parts)", () => {
  const part = new Uint8Array([1, 2, 3]);
  const expected = nodeSha256(nodeSha256(utf8("d/v1")), part, part);
  assert.deepEqual(hashLeaf("d/v1", part, part), expected);
  assert.notDeepEqual(hashLeaf("d/v2", part, part), expected);
});

/** The definition, by halves from the top: the left half is the largest power of two below. */
function rootByHalves(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 1) return leaves[0]!;
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  const node = nodeSha256(utf8("manyhands/merkle-node/v1"));
  return nodeSha256(node, rootByHalves(leaves.slice(0, half)), rootByHalves(leaves.slice(half)));
}

test("merkleRoot equals the tree built from the top", () => {
  for (let count = 1; count <= 33; count++) {
    const leaves = leavesOf(count);
    assert.deepEqual(merkleRoot(leaves), rootByHalves(leaves), `${count} leaves`);
  }
  assert.deepEqual(merkleRoot([]), nodeSha256(nodeSha256(utf8("manyhands/merkle-empty/v1"))));
});

test("every leaf's path climbs to the root; another leaf or a changed step does not", () => {
  for (let count = 1; count <= 20; count++) {
    const leaves = leavesOf(count);
    const root = merkleRoot(leaves);
    for (const [index, leaf] of leaves.entries()) {
      const path = merklePath(leaves, index);
      assert.deepEqual(merkleClimb(leaf, path), root, `leaf ${index} of ${count}`);
      assert.notDeepEqual(merkleClimb(hashLeaf("other"), path), root);
      for (const [at, step] of path.entries()) {
        const side: "left" | "right" = step.side === "left" ? "right" : "left";
        const swapped = path.with(at, { ...step, side });
        assert.notDeepEqual(merkleClimb(leaf, swapped), root, "a step on the wrong side");
      }
    }
  }
});

test("merklePath asserts that the leaf is there", () => {
  for (const index of [-1, 3, 1.5, Number.NaN]) {
    assert.throws(() => merklePath(leavesOf(3), index), { name: "AssertionError" });
  }
});

test("the order of leaves is part of the root", () => {
  const leaves = leavesOf(5);
  assert.notDeepEqual(merkleRoot(leaves.toReversed()), merkleRoot(leaves));
});

test("blobManifest cuts at CHUNK_BYTES; an empty blob has no chunks", () => {
  for (const length of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1]) {
    const bytes = new Uint8Array(length).fill(7);
    const { byteLength, chunks } = blobManifest(bytes, nodeSha256);
    assert.equal(byteLength, length);
    assert.equal(chunks.length, Math.ceil(length / CHUNK_BYTES), `${length} bytes`);
    const last = chunks.at(-1);
    const rest = bytes.subarray((chunks.length - 1) * CHUNK_BYTES);
    if (last) assert.deepEqual(last, nodeSha256(rest));
  }
});

test("a blob's name depends on its length and every byte", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const names = [bytes, bytes.with(0, 0), bytes.with(2, 0), new Uint8Array([1, 2, 3, 0])];
  const roots = new Set(names.map((one) => toHex(blobRoot(one, nodeSha256))));
  assert.equal(roots.size, names.length);
  assert.deepEqual(blobRoot(bytes, sha256), blobRoot(bytes, nodeSha256));
  const leaf = concatBytes(uint64(3), nodeSha256(bytes));
  assert.deepEqual(blobRoot(bytes, sha256), hashLeaf("manyhands/blob/v1", leaf));
});

test("manifestRoot asserts that chunk count and length agree", () => {
  const chunks = [sha256(utf8("a"))];
  for (const byteLength of [0, CHUNK_BYTES + 1]) {
    assert.throws(() => manifestRoot({ byteLength, chunks }), { name: "AssertionError" });
  }
});
