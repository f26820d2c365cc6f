import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import { blobRoot, CHUNK_BYTES, sha256 } from "@manyhands/base/hash";
import fc from "fast-check";
import { DamagedBlobError, DiskError } from "../errors.ts";
import { temporaryFolder } from "../testing/wire.ts";
import { BlobHasher } from "./blob-hasher.ts";
import { blobsContract } from "./blobs.contract.ts";
import { DiskBlobs } from "./disk-blobs.ts";
import { MemoryBlobs } from "./memory-blobs.ts";

blobsContract("memory", () => new MemoryBlobs());
blobsContract("disk", (t) => new DiskBlobs(join(temporaryFolder(t), "blobs")));

test("disk: a half-written upload of a killed process is cleared at the next start", async (t) => {
  const folder = join(temporaryFolder(t), "blobs");
  const store = new DiskBlobs(folder);
  const kept = store.write(new Uint8Array([1, 2, 3]));
  const upload = await store.upload();
  await upload.write(new Uint8Array(1_000));
  assert.equal(readdirSync(join(folder, "tmp")).length, 1);
  const again = new DiskBlobs(folder);
  assert.equal(readdirSync(join(folder, "tmp")).length, 0);
  assert.deepEqual(again.roots(), [kept]);
  await upload.abort();
});

test("disk: a damaged file is named, and is not given out", (t) => {
  const store = new DiskBlobs(join(temporaryFolder(t), "blobs"));
  const root = store.write(new Uint8Array([1, 2, 3]));
  const bytes = readFileSync(store.path(root));
  bytes[1] = 9;
  writeFileSync(store.path(root), bytes);
  assert.throws(
    () => store.read(root),
    (error: unknown) => error instanceof DamagedBlobError && error.message.includes(root),
  );
});

test("disk: a failing disk is an operating error, and nothing half-written stays", async (t) => {
  const folder = join(temporaryFolder(t), "blobs");
  const store = new DiskBlobs(folder);
  const bytes = new Uint8Array([5, 5, 5]);
  const { root } = { root: toHex(blobRoot(bytes, sha256)) };
  // A file where the folder of this blob would be: the rename cannot succeed.
  writeFileSync(join(folder, root.slice(0, 2)), "in the way");
  assert.throws(() => store.write(bytes), DiskError);
  const upload = await store.upload();
  await upload.write(bytes);
  await assert.rejects(upload.finish(root), DiskError);
  assert.deepEqual(readdirSync(join(folder, "tmp")), []);
  const other = store.write(new Uint8Array([6, 6]));
  assert.notEqual(store.size(other), null, "other blobs are not concerned");
});

test("disk: junk beside the blobs is no blob", (t) => {
  const folder = join(temporaryFolder(t), "blobs");
  const store = new DiskBlobs(folder);
  mkdirSync(join(folder, "ab"));
  writeFileSync(join(folder, "ab", "notes.txt"), "hello");
  assert.deepEqual(store.roots(), []);
  assert.ok(existsSync(join(folder, "ab", "notes.txt")));
});

test("the hasher comes to the same root as base/hash, however the bytes are cut", () => {
  const bytes = Uint8Array.from({ length: CHUNK_BYTES + 70_000 }, (_, index) => index % 251);
  const expected = toHex(blobRoot(bytes, sha256));
  const cuts = fc.array(fc.integer({ min: 1, max: CHUNK_BYTES }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(cuts, (sizes) => {
      const hasher = new BlobHasher();
      let at = 0;
      for (const size of sizes) {
        hasher.update(bytes.subarray(at, at + size));
        at = Math.min(bytes.length, at + size);
      }
      hasher.update(bytes.subarray(at));
      assert.equal(hasher.byteLength, bytes.length);
      assert.equal(hasher.root(), expected);
    }),
    { numRuns: 10 },
  );
});
