// A run so small that it trains in seconds, and the folders that its tests use.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

const CORPUS = join(import.meta.dirname, "../../examples/shakespeare/input.txt");
const CORPUS_BYTES = 30_000;

/** One inner step is 256 tokens of one worker. */
const RUN_FILE = `
name: tiny
model:
  vocabSize: 256
  hiddenSize: 32
  intermediateSize: 64
  numHiddenLayers: 1
  numAttentionHeads: 2
  numKeyValueHeads: 1
  maxPositionEmbeddings: 32
tokenizer: bytes
data:
  files: [corpus.txt]
  validation: 0.1
recipe:
  learningRate: 0.02
  contextLength: 32
  batchSequences: 8
  innerSteps: 4
rounds:
ROUNDS
  wait: 30s
  evaluateEvery: 2
  evaluateWindows: 4
budget:
  tokens: TOKENS
seed: 7
license: CC0-1.0
`;

const TWO_WORKERS = "  workersMin: 2";

/**
 * A folder with `run.yaml` and its data, removed after the test.
 *
 * @param rounds lines of its round policy
 */
export async function tinyRun(
  t: TestContext,
  tokens: number,
  rounds = TWO_WORKERS,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-e2e-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const corpus = await readFile(CORPUS);
  await writeFile(join(folder, "corpus.txt"), corpus.subarray(0, CORPUS_BYTES));
  const text = RUN_FILE.replace("TOKENS", String(tokens)).replace("ROUNDS", rounds);
  await writeFile(join(folder, "run.yaml"), text);
  return folder;
}

/** A person's environment, not that of the npm that started this test; colours are not forced. */
export function plainEnvironment(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const isOurs = (name: string): boolean =>
    !/^npm_|^(NO_COLOR|FORCE_COLOR|NODE_TEST_CONTEXT)$/i.test(name);
  const rest = Object.entries(process.env).filter(([name]) => isOurs(name));
  return { ...Object.fromEntries(rest), ...changes };
}
