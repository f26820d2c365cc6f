// A run on a device with little memory: smaller pieces, said in a sentence, or a clear error before
// anything is trained.
import { equal, match, ok } from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Process } from "../process.ts";
import { plainEnvironment, tinyRun } from "./tiny-run.ts";

const LIMIT = { timeout: 300_000 };
/** Two rounds of four steps of 64 × 32 tokens. */
const TOKENS = 16_384;

/** The tiny run for one worker, with a batch that weighs something. */
async function largeBatch(t: TestContext): Promise<string> {
  const folder = await tinyRun(t, TOKENS);
  const file = join(folder, "run.yaml");
  const text = await readFile(file, "utf8");
  const changed = text
    .replace("batchSequences: 8", "batchSequences: 64")
    .replace("workersMin: 2", "workersMin: 1");
  await writeFile(file, changed);
  return folder;
}

async function train(
  folder: string,
  memory: string,
): Promise<{ code: number | null; output: string }> {
  const command = ["run", folder, "--workers", "1", "--port", "0", "--memory", memory];
  const child = new Process([...command, "--out", join(folder, `out-${memory}`)], {
    environment: plainEnvironment(),
  });
  const { code } = await child.exit;
  return { code, output: child.output };
}

test(
  "a run that cannot fit ends before training; one that fits in pieces does so",
  LIMIT,
  async (t) => {
    const folder = await largeBatch(t);
    const refused = await train(folder, "100MB");
    equal(refused.code, 1, refused.output);
    match(refused.output, /This device cannot train the run: training does not fit/);
    match(
      refused.output,
      /of the 100 MB that it may take \(1 of 64 sequences, blocks computed twice;/,
    );
    match(refused.output, /allow more memory, or take a smaller model/);
    ok(!refused.output.includes("round "), "nothing was trained");
    const [, least = ""] =
      /even at its smallest it needs about (\d+) MB/.exec(refused.output) ?? [];
    // Room for the smallest and for what the prediction may be wrong by, not for the whole batch.
    const enough = await train(folder, `${Math.ceil(Number(least) * 1.15)}MB`);
    equal(enough.code, 0, enough.output);
    match(enough.output, /worker-1: Memory: training needs about \d+ MB .* \(\d+ of 64 sequences/);
    match(enough.output, /weights \d+ MB, gradients \d+ MB, optimiser \d+ MB, activations \d+ MB/);
    match(enough.output, /tiny is trained\./);
  },
);
