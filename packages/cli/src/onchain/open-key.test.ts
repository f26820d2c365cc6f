// Key files: made once, for nobody else to read, never over anything.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openKey } from "./open-key.ts";

test("a key is made once; what is no key is refused and stays what it was", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-key-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "owner.key");
  const made = await openKey(path);
  assert.equal(made.isNew, true);
  assert.match(made.account, /^0x[0-9a-fA-F]{40}$/);
  assert.equal(statSync(path).mode & 0o077, 0);
  assert.deepEqual(await openKey(path), { account: made.account, isNew: false });
  const other = join(folder, "notes.txt");
  writeFileSync(other, "milk\n");
  await assert.rejects(openKey(other), /holds no private key/);
  assert.equal(readFileSync(other, "utf8"), "milk\n");
  await assert.rejects(openKey(join(path, "no", "folder")), /cannot be written/);
});
