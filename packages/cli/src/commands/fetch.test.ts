// `manyhands fetch` against a server that answers like the Hub.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { configJson } from "@manyhands/engine/checkpoint/hf-config-json";
import { writeSafetensors } from "@manyhands/engine/checkpoint/safetensors";
import { type LlamaConfig, parameterPlaces } from "@manyhands/engine/model/config";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import { FakeHub } from "@manyhands/hub/testing/fake-hub";
import { runCommand } from "../main.ts";
import { PLAIN } from "../terminal/style.ts";

const CONFIG: LlamaConfig = {
  ...{ vocabSize: 97, hiddenSize: 64, intermediateSize: 96, numHiddenLayers: 2 },
  ...{ numAttentionHeads: 4, numKeyValueHeads: 2, maxPositionEmbeddings: 64, rmsNormEps: 1e-5 },
  ...{ ropeTheta: 10_000, tieWordEmbeddings: true },
};
const COMMIT = "abcdef0123456789abcdef0123456789abcdef01";

let hub: FakeHub;
let home: string;
before(async () => {
  hub = await FakeHub.start();
  home = mkdtempSync(join(tmpdir(), "manyhands-fetch-"));
  const weights = initialWeights(CONFIG, 1);
  const tensors = parameterPlaces(CONFIG).map(({ name, shape, offset, size }) => {
    return { name, shape, values: weights.subarray(offset, offset + size) };
  });
  const files = new Map([
    ["config.json", { bytes: Buffer.from(configJson(CONFIG)), large: false }],
    ["model.safetensors", { bytes: writeSafetensors(tensors), large: true }],
  ]);
  for (const name of ["org/tiny", "org/named"]) {
    hub.repos.set(name, { commit: COMMIT, revisions: ["main"], files });
  }
});
after(async () => {
  await hub.stop();
  rmSync(home, { recursive: true, force: true });
});

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function run(words: readonly string[], isTTY = false): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const code = await runCommand(words, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { isTTY, write: (text) => (stderr += text) },
    environment: { HF_HOME: home, HF_ENDPOINT: hub.endpoint, HOME: home },
    paint: PLAIN,
    errorPaint: PLAIN,
  });
  return { code, stdout, stderr };
}

test("a model is fetched with its progress, told what it is, and then in the cache", async () => {
  const { code, stdout, stderr } = await run(["fetch", "hf:org/tiny"], true);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^llama, 0\.1 million parameters, F32, /);
  assert.match(stdout, /models--org--tiny\/snapshots\/abcdef/);
  assert.match(stderr, /\[#{20}\] 100 % .* 1\/1 model\.safetensors/);
  assert(stderr.endsWith("\r\u001b[K"), "the line is gone at the end");
  const again = await run(["fetch", "hf:org/tiny@main", "--json"]);
  const facts = JSON.parse(again.stdout);
  assert.deepEqual([facts.architecture, facts.fromCache, again.stderr], ["llama", true, ""]);
});

test("a model that a run file names is fetched with its progress, too", async () => {
  writeFileSync(join(home, "text.txt"), "words ".repeat(100));
  const shape = "contextLength: 32, batchSequences: 1, innerSteps: 1";
  const choices = `recipe: { optimizer: adamw, learningRate: 0.01, ${shape} }`;
  const lines = [
    "name: named",
    "model: hf:org/named",
    "method: lora",
    "data: { files: [text.txt] }",
  ];
  const rest = ["lora: { r: 2, loraAlpha: 4 }", choices, "budget: { tokens: 1 }"];
  writeFileSync(join(home, "run.yaml"), `${[...lines, ...rest].join("\n")}\n`);
  const { stderr } = await run(["run", join(home, "run.yaml")], true);
  assert.match(stderr, /\[#{20}\] 100 % .* 1\/1 model\.safetensors/);
  assert.match(stderr, /run\.yaml:2:8: .* has no tokenizer\.json/, "and then it is looked into");
});

test("what is not there is a sentence with what to do", async () => {
  const { code, stderr } = await run(["fetch", "hf:org/nothing"]);
  assert.equal(code, 1);
  assert.match(stderr, /org\/nothing@main: it does not exist, or only some may read it/);
  assert.match(stderr, /set HF_TOKEN/);
  assert.equal((await run(["fetch", "hf:../x"])).code, 2);
  assert.equal((await run(["fetch", home])).code, 2);
});
