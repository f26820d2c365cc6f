import assert from "node:assert/strict";
import { test } from "node:test";
import { Uploads } from "./uploads.ts";

const ROOT = "ab".repeat(32);

test("what a former process left is removed once nobody can commit it any more", () => {
  const uploads = new Uploads(1_000);
  uploads.adopt(ROOT, 100, 3);
  assert.deepEqual(uploads.takeStale(5, 2), []);
  assert.deepEqual(uploads.takeStale(6, 2), [ROOT]);
});

test("an aggregate that a former process had stored is not stale once its round closes", () => {
  const uploads = new Uploads(1_000);
  uploads.adopt(ROOT, 100, 3);
  uploads.publish(ROOT);
  assert.deepEqual(uploads.takeStale(100, 2), []);
  assert.equal(uploads.readable(ROOT).ok, true);
});
