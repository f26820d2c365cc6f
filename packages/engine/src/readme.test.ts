// The README's program is run as it stands there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const ROOT = new URL("../../..", import.meta.url);
const LINES_MAX = 20;
const STEPS = 200;

test("the README trains a small model in twenty lines", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, program = ""] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  const code = program.split("\n").filter((line) => line.trim() !== "");
  assert(code.length > 0 && code.length <= LINES_MAX, `${code.length} lines`);
  const printed = execFileSync(process.execPath, ["--input-type=module-typescript", "-"], {
    cwd: ROOT,
    input: program,
    encoding: "utf8",
  });
  const losses = printed
    .trim()
    .split("\n")
    .map((line) => Number(line.split(" ")[1]));
  assert.equal(losses.length, STEPS);
  const [first = 0, last = 0] = [losses[0], losses.at(-1)];
  // From a guess among 256 bytes (5.5) to better than the text's letter frequencies (3.3).
  assert(first > 5 && last < 3, `${first} to ${last}`);
});
