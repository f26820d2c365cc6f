// Scenarios as text: testdata/*.txt hold commands above a rule and what was observed below it.
// `UPDATE=1 node --test …/transcript.test.ts` writes the observations anew; the diff is reviewed.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { Stage } from "./testing/stage.ts";

const FOLDER = join(import.meta.dirname, "../testdata");
const RULE = "----";

/** Blocks, parted by empty lines, of `# comment` lines, commands, a rule and observations. */
function perform(script: string): string {
  const stage = new Stage();
  const blocks = script.trimEnd().split(/\n{2,}/);
  return `${blocks.map((block) => performBlock(stage, block)).join("\n\n")}\n`;
}

function performBlock(stage: Stage, block: string): string {
  const lines = block.split("\n");
  const rule = lines.indexOf(RULE);
  const above = rule < 0 ? lines : lines.slice(0, rule);
  const commands = above.filter((line) => !line.startsWith("#"));
  if (commands.length === 0) return block;
  const observed = commands.flatMap((line) => stage.command(line));
  return [...above, RULE, ...observed].join("\n");
}

for (const name of readdirSync(FOLDER).filter((file) => file.endsWith(".txt"))) {
  test(`transcript ${name}`, () => {
    const path = join(FOLDER, name);
    const written = readFileSync(path, "utf8");
    const observed = perform(written);
    if (process.env["UPDATE"]) writeFileSync(path, observed);
    else assert.equal(observed, written, `${name} differs; UPDATE=1 rewrites it for review`);
  });
}
