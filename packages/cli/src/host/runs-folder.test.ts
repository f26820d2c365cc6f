// The host's folder: what a stranger's words become on disk, and that every template is a run.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { parameterCount } from "@manyhands/engine/model/config";
import fc from "fast-check";
import { prepareRun } from "../run-file/freeze.ts";
import { loadRunFile } from "../run-file/load-run-file.ts";
import { RunsFolder } from "./runs-folder.ts";

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-host-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const DATA = new TextEncoder().encode("To be, or not to be, that is the question. ".repeat(100));

test("the token is made once, for nobody else to read", async (t) => {
  const folder = await newFolder(t);
  const { token } = new RunsFolder(folder);
  assert.equal(new RunsFolder(folder).token, token);
  assert.ok(token.length >= 32);
  assert.equal((await stat(join(folder, "host.json"))).mode & 0o077, 0);
});

test("every template is a run that can be frozen, of the size that the page says", async (t) => {
  const runs = new RunsFolder(await newFolder(t));
  const sizes = { tiny: 133_440, small: 820_352 } as const;
  for (const template of ["tiny", "small"] as const) {
    const name = `a "${template}": {one} # two`;
    const choices = { name, template, tokens: 50_000, fileName: "../../etc/passwd" };
    const folder = runs.write(choices, DATA);
    const { run } = prepareRun(await loadRunFile(folder));
    assert.equal(run.name, name);
    assert.equal(run.budget.tokens, 50_000);
    assert.equal(parameterCount(run.model), sizes[template]);
    assert.deepEqual(
      run.dataset.files.map((file) => file.name),
      ["passwd"],
    );
  }
  assert.equal(runs.runs().length, 2);
});

test("whatever a run and its text are called, they lie in the folder, each in its own", async (t) => {
  const folder = await newFolder(t);
  const runs = new RunsFolder(folder);
  const names = fc.oneof(fc.string(), fc.constantFrom("..", ".", "/", "\0", "run.yaml", "CON", ""));
  await fc.assert(
    fc.asyncProperty(names, names, async (name, fileName) => {
      const made = runs.write({ name, template: "tiny", tokens: 1_000, fileName }, DATA);
      assert.equal(dirname(made), folder);
      assert.match(basename(made), /^[\w-][\w.-]*$/);
      const files = await readdir(made);
      assert.equal(files.length, 2);
      const dataFile = files.find((file) => file !== "run.yaml") ?? "";
      assert.deepEqual(new Uint8Array(await readFile(join(made, dataFile))), DATA);
      runs.remove(made);
    }),
    { numRuns: 60 },
  );
});
