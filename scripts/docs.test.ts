// The document checks on small trees: what they find, and what they leave alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { anchorsOf, checkDocs, rejectCodes } from "./docs.ts";

function run(files: { readonly [path: string]: string }): string[] {
  const tree = new Map(Object.entries(files));
  const exists = (path: string): boolean =>
    path === "docs" || [...tree.keys()].some((file) => file === path);
  return checkDocs(tree, exists).map(({ path, line, message }) => `${path}:${line} ${message}`);
}

test("links: relative files and headings must exist; the web is not visited", () => {
  const spec = "# Spec\n## One round, as data\n";
  const good =
    "[a](docs/a.md) [b](docs/a.md#one-round-as-data) [c](https://x.org) [d](#top)\n# Top\n";
  assert.deepEqual(run({ "README.md": good, "docs/a.md": spec }), []);
  assert.deepEqual(run({ "README.md": "x\n[a](docs/b.md)\n" }), [
    "README.md:2 the link docs/b.md leads nowhere: there is no docs/b.md",
  ]);
  assert.deepEqual(run({ "README.md": "[a](docs/a.md#two)\n", "docs/a.md": spec }), [
    "README.md:1 docs/a.md has no heading #two",
  ]);
});

test("links: seen from the document's own folder; code blocks and spans are no links", () => {
  assert.deepEqual(run({ "docs/a.md": "[up](../README.md)\n", "README.md": "" }), []);
  assert.deepEqual(run({ "README.md": "`[a](gone.md)`\n```\n[a](gone.md)\n```\n" }), []);
});

test("anchorsOf makes GitHub's anchors", () => {
  assert.deepEqual(
    [...anchorsOf("# The `run` (id)\ntext\n### 3.1 Why?\n")],
    ["the-run-id", "31-why"],
  );
});

test("reject codes: each one in a code position must stand in the spec", () => {
  const path = "packages/protocol/src/step.ts";
  const code = `return err({ code: "commit/wrong-round" });\nconst type = "text/plain";\n`;
  assert.deepEqual([...rejectCodes(new Map([[path, code]])).keys()], ["commit/wrong-round"]);
  assert.deepEqual(run({ [path]: code }), [
    `${path}:1 the reject code commit/wrong-round is missing from docs/spec/*.md`,
  ]);
  assert.deepEqual(run({ [path]: code, "docs/spec/rejects.md": "`commit/wrong-round`" }), []);
  assert.deepEqual(run({ "packages/protocol/src/a.test.ts": code }), []);
  const union = `type Code =\n  | "auth/token"\n  | "auth/session";\n`;
  assert.deepEqual(
    [...rejectCodes(new Map([[path, union]])).keys()],
    ["auth/token", "auth/session"],
  );
});
