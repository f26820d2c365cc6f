// What every blob store must do, whatever keeps it. Run by blobs.test.ts for each implementation.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { defined } from "@manyhands/base/assert";
import { concatBytes } from "@manyhands/base/bytes";
import { CHUNK_BYTES } from "@manyhands/base/hash";
import { rootOfBytes } from "./blob-hasher.ts";
import type { BlobStore, ByteRange } from "./blob-store.ts";

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 255);
}

async function collected(store: BlobStore, root: string, range: ByteRange): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of store.stream(root, range)) parts.push(part);
  return concatBytes(...parts);
}

type Make = (t: TestContext) => BlobStore;

export function blobsContract(name: string, make: Make): void {
  wholeBlobs(name, make);
  streams(name, make);
}

function wholeBlobs(name: string, make: Make): void {
  test(`${name}: gives back what was written, under its root`, (t) => {
    const store = make(t);
    const bytes = pattern(1_000);
    const root = store.write(bytes);
    assert.equal(root, rootOfBytes(bytes));
    assert.deepEqual(store.read(root), bytes);
    assert.equal(store.size(root), 1_000);
    assert.equal(store.write(bytes), root, "twice is once");
    assert.deepEqual(store.roots(), [root]);
  });

  test(`${name}: knows what is not there`, (t) => {
    const store = make(t);
    const root = rootOfBytes(pattern(3));
    assert.equal(store.read(root), null);
    assert.equal(store.size(root), null);
    assert.deepEqual(store.roots(), []);
    store.remove(root);
  });

  test(`${name}: forgets what is removed`, (t) => {
    const store = make(t);
    const [a, b] = [store.write(pattern(10)), store.write(pattern(20))];
    store.remove(a);
    assert.equal(store.size(a), null);
    assert.deepEqual(store.roots(), [b]);
  });

  test(`${name}: what it gave away, and was given, can be changed without harm`, (t) => {
    const store = make(t);
    const bytes = pattern(100);
    const root = store.write(bytes);
    bytes.fill(0);
    defined(store.read(root), "it is there").fill(1);
    assert.deepEqual(store.read(root), pattern(100));
  });
}

function streams(name: string, make: Make): void {
  test(`${name}: takes an upload in pieces, across chunks`, async (t) => {
    const store = make(t);
    const bytes = pattern(CHUNK_BYTES + 5_000);
    const root = rootOfBytes(bytes);
    const upload = await store.upload();
    for (let at = 0; at < bytes.length; at += 700_001) {
      await upload.write(bytes.subarray(at, at + 700_001));
    }
    assert.equal(store.size(root), null, "not before its end");
    const finished = await upload.finish(root);
    assert.ok(finished.ok && finished.value.byteLength === bytes.length);
    assert.equal(store.size(root), bytes.length);
    assert.deepEqual(store.read(root), bytes);
  });

  test(`${name}: keeps nothing of an upload with other bytes, or of a dropped one`, async (t) => {
    const store = make(t);
    const wrong = await store.upload();
    await wrong.write(pattern(10));
    const refused = await wrong.finish(rootOfBytes(pattern(11)));
    assert.ok(!refused.ok && refused.error.code === "blob/hash");
    const dropped = await store.upload();
    await dropped.write(pattern(12));
    await dropped.abort();
    assert.deepEqual(store.roots(), []);
  });

  test(`${name}: takes two uploads of one blob at once`, async (t) => {
    const store = make(t);
    const root = rootOfBytes(pattern(50));
    const uploads = [await store.upload(), await store.upload()];
    for (const upload of uploads) await upload.write(pattern(50));
    for (const upload of uploads) assert.ok((await upload.finish(root)).ok);
    assert.deepEqual(store.read(root), pattern(50));
  });

  test(`${name}: streams any part`, async (t) => {
    const store = make(t);
    const bytes = pattern(100_000);
    const root = store.write(bytes);
    const parts = [
      { from: 0, to: 100_000 },
      { from: 0, to: 1 },
      { from: 99_999, to: 100_000 },
      { from: 65_530, to: 65_550 },
    ];
    for (const { from, to } of parts) {
      assert.deepEqual(await collected(store, root, { from, to }), bytes.slice(from, to));
    }
  });
}
