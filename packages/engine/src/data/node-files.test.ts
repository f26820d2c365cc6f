// Files and folders on a real disk: order, names, roots, and what is refused.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { toHex, utf8 } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { blobRoot, sha256 } from "@manyhands/base/hash";
import { readDataFiles } from "./node-files.ts";

const folder = mkdtempSync(join(tmpdir(), "manyhands-data-"));
after(() => rmSync(folder, { recursive: true }));

function put(name: string, text: string): void {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), text);
}

put("run/z.txt", "last letter, named first");
put("run/books/b/one.txt", "b one");
put("run/books/a.txt", "a");
put("run/books/.hidden", "secret");
put("run/books/empty.txt", "");
put("elsewhere/z.txt", "another z");
put("run/empty/.keep", "");
symlinkSync(join(folder, "run", "books"), join(folder, "run", "books", "loop"));
const run = join(folder, "run");

test("files keep their order, a folder's are sorted, hidden and empty ones and loops left out", async () => {
  const files = await readDataFiles(["z.txt", "books"], run);
  const names = files.map((file) => file.name);
  assert.deepEqual(names, ["z.txt", "books/a.txt", "books/b/one.txt"]);
  assert.deepEqual(new TextDecoder().decode(files[2]?.bytes), "b one");
});

test("a file's root is its content address", async () => {
  const [file] = await readDataFiles(["books/a.txt"], run);
  assert.equal(file?.root, toHex(blobRoot(utf8("a"), sha256)));
  assert.equal(file?.byteLength, 1);
});

test("a file outside the run file's folder goes by its last name only", async () => {
  const [absolute] = await readDataFiles([join(folder, "elsewhere", "z.txt")], run);
  assert.equal(absolute?.name, "z.txt");
  const [relative] = await readDataFiles(["../elsewhere"], run);
  assert.equal(relative?.name, "elsewhere/z.txt");
});

test("what cannot be read is refused with the place and a hint", async () => {
  const cases: readonly [readonly string[], RegExp][] = [
    [["missing.txt"], /no missing.txt/],
    [["books/empty.txt"], /is empty/],
    [["empty"], /no file to read/],
    [[], /no file to read/],
    [["z.txt", "z.txt"], /both called z.txt/],
    [["z.txt", "../elsewhere/z.txt"], /both called z.txt/],
  ];
  for (const [paths, sentence] of cases) {
    await assert.rejects(readDataFiles(paths, run), (error) => {
      assert.ok(error instanceof InputError && error.hint, paths.join());
      assert.match(error.message, sentence);
      return true;
    });
  }
});
