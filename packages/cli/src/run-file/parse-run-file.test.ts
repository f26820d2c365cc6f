import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { utf8 } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { frozenRunDecoder, namedBlobsOf } from "@manyhands/protocol/run-config";
import fc from "fast-check";
import { LOCAL_CHAIN } from "../pay/local-chain.ts";
import { writeTinyModel } from "../testing/tiny-model.ts";
import { prepareRun } from "./freeze.ts";
import { loadRunFile } from "./load-run-file.ts";
import { parseRunFile } from "./parse-run-file.ts";
import { durationMs, payOf, roundPolicyOf } from "./run-file.ts";

const GOOD = `name: tiny
model:
  vocabSize: 256
  hiddenSize: 32
  intermediateSize: 64
  numHiddenLayers: 2
  numAttentionHeads: 2
  numKeyValueHeads: 1
  maxPositionEmbeddings: 64
data:
  files: [a.txt]
recipe:
  learningRate: 0.02
  batchSequences: 2
  contextLength: 32
  innerSteps: 5
rounds:
  wait: 30s
budget:
  tokens: 1000
`;

/** What stands in the file, what somebody wrote instead, and the answer. */
const MISTAKES: readonly (readonly [string, string, string, string?])[] = [
  [
    "hiddenSize: 32",
    "hiddenSize: many",
    '4:15: model.hiddenSize: expected an integer ≥ 2 and ≤ 65536, found "many"',
  ],
  [
    "hiddenSize: 32",
    "hiddenSize: 30",
    "4:15: model.hiddenSize: expected a multiple of 2 × numAttentionHeads = 4, found 30",
  ],
  [
    "numKeyValueHeads: 1",
    "numKeyValueHeads: 3",
    "8:21: model.numKeyValueHeads: expected a divisor of numAttentionHeads = 2, found 3",
  ],
  [
    "vocabSize: 256",
    "vocabSize: 300",
    "3:14: model.vocabSize: expected 256, the vocabulary of the tokenizer `bytes`, found 300",
  ],
  [
    "innerSteps: 5",
    "inerSteps: 5",
    "16:3: recipe.inerSteps: expected a known field, found an unknown one",
    "Did you mean innerSteps?",
  ],
  [
    "budget:",
    "budgte:",
    "19:1: budgte: expected a known field, found an unknown one",
    "Did you mean budget?",
  ],
  [
    "wait: 30s",
    "zebra: 30s",
    "18:3: rounds.zebra: expected a known field, found an unknown one",
    "Known fields: workersMin, wait, quorum, grace, longest, lease, stalenessMax, evaluateEvery, evaluateWindows.",
  ],
  [
    "  learningRate: 0.02\n",
    "",
    "12:1: recipe.learningRate: expected a number from 1e-8 to 10, found nothing: the field is missing",
  ],
  [
    "learningRate: 0.02",
    "learningRate: -1",
    "13:17: recipe.learningRate: expected a number from 1e-8 to 10, found -1",
  ],
  [
    "contextLength: 32",
    "contextLength: 65",
    "15:18: recipe.contextLength: expected at most model.maxPositionEmbeddings = 64, found 65",
  ],
  [
    "files: [a.txt]",
    "files: []",
    "11:10: data.files: expected a list of 1 to 1024, found a list of 0",
  ],
  [
    "files: [a.txt]",
    "files: [7]",
    "11:11: data.files[0]: expected a text of 1 to 4096 characters, found 7",
  ],
  [
    "wait: 30s",
    "wait: 30",
    "18:9: rounds.wait: expected a duration of 0s to 24h with its unit, such as 30s or 10m, found 30",
  ],
  ["wait: 30s", "quorum: 60", "18:11: rounds.quorum: expected a number from 0.0001 to 1, found 60"],
  [
    "budget:\n  tokens: 1000",
    "budget: {}",
    "19:9: budget: expected tokens, minutes or both, found neither",
  ],
  [
    "name: tiny",
    "name: tiny\nname: big",
    "2:1: this is not YAML: Map keys must be unique",
    "Each field stands once; remove one of the two.",
  ],
  ["name: tiny", "name: 'tiny", "21:1: this is not YAML: Missing closing 'quote"],
  [
    "tokens: 1000",
    "tokens: *some",
    "20:11: this is not YAML: Unresolved alias (the anchor must be set before the alias): some",
  ],
  [
    GOOD,
    "- a list",
    "1:1: the file: expected an object with name, model, method, lora, tokenizer, data, recipe, rounds, budget, seed, pay, workers, license, dataParallelBatch, found a list of 1",
  ],
];

test("a mistake names its line, its field, what was found and what was expected", () => {
  for (const [before, after, expected, hint] of MISTAKES) {
    const parsed = parseRunFile(GOOD.replace(before, after));
    assert.ok(!parsed.ok, `${after} must be refused`);
    const { line, column, message } = parsed.error;
    assert.equal(`${line}:${column}: ${message}`, expected);
    assert.equal(parsed.error.hint, hint, expected);
  }
});

test("what is left out has a default, and rounds take human units", () => {
  const parsed = parseRunFile(GOOD.replace("wait: 30s", "wait: 1.5m\n  quorum: 0.75"));
  assert.ok(parsed.ok);
  const { file } = parsed.value;
  assert.equal(file.seed, 0);
  assert.equal(file.workers, 1);
  assert.equal(file.recipe.codec, "ternary");
  const policy = roundPolicyOf(file.rounds);
  assert.equal(policy.waitMs, 90_000);
  assert.equal(policy.quorumBps, 7_500);
  assert.equal(policy.stalenessMax, 2);
});

test("any text is parsed or refused with a place, never thrown", () => {
  const words = fc.constantFrom(
    "name",
    ": ",
    "[",
    "]",
    "{",
    "\n",
    "  ",
    "- ",
    "'",
    "&a",
    "*a",
    "!!x",
    "\t",
    "#",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(words).map((parts) => parts.join("")),
      ),
      (text) => {
        const parsed = parseRunFile(text);
        assert.ok(parsed.ok || parsed.error.line >= 1);
      },
    ),
  );
});

test("durations", () => {
  assert.deepEqual(["0s", "250ms", "1.5h", "10 m"].map(durationMs), [0, 250, 5_400_000, 600_000]);
  assert.deepEqual([7, "7", "s", "-1s", "1d", null].map(durationMs), Array(6).fill(undefined));
});

test("a data file that is not there is told at its line", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-run-file-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const place = join(folder, "run.yaml");
  writeFileSync(place, GOOD);
  await assert.rejects(loadRunFile(place), (caught) => {
    assert.ok(caught instanceof InputError);
    assert.match(caught.message, /run\.yaml:11:11: data\.files\[0\]: there is no a\.txt in /);
    return true;
  });
  writeFileSync(join(folder, "a.txt"), "words");
  const loaded = await loadRunFile(folder);
  assert.deepEqual(
    loaded.data.map(({ name, byteLength }) => [name, byteLength]),
    [["a.txt", 5]],
  );
  writeFileSync(place, GOOD.replace("[a.txt]", "[a.txt, ./a.txt]"));
  await assert.rejects(loadRunFile(place), /11:18: data\.files\[1\]: expected each file once/);
});

/** A run file that names a model; what is left out of it, and what stands there instead. */
const TUNED = GOOD.replace(
  /model:[\s\S]*?(?=data:)/,
  "model: ./model\nmethod: lora\nlora: { r: 2, loraAlpha: 4 }\n",
).replace("learningRate: 0.02", "optimizer: adamw\n  learningRate: 0.02");

test("a run that trains on: adapters are the fragments, the base is a blob of the run", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-run-file-"));
  context.after(() => rmSync(folder, { recursive: true }));
  writeTinyModel(join(folder, "model"));
  writeFileSync(join(folder, "a.txt"), "words ".repeat(100));
  const load = async (text: string) => {
    writeFileSync(join(folder, "run.yaml"), text);
    const before = process.env["MANYHANDS_CACHE"];
    process.env["MANYHANDS_CACHE"] = join(folder, "cache");
    const loaded = await loadRunFile(folder).finally(() => {
      if (before === undefined) delete process.env["MANYHANDS_CACHE"];
      else process.env["MANYHANDS_CACHE"] = before;
    });
    return prepareRun(loaded);
  };
  const { run, runId, files, initialWeights } = await load(TUNED);
  assert.equal(run.tuning?.method, "lora");
  assert.equal(run.tokenizer, "bytes");
  const names = run.fragments.map(({ name }) => name);
  assert.equal(names[0], "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  assert.equal(names.length, 2 * 7 * 2, "two tensors for each of seven matrices of two layers");
  const blobs = namedBlobsOf(run);
  assert.deepEqual(
    files.map(({ length }) => length),
    blobs.map(({ byteLength }) => byteLength),
  );
  assert.equal(initialWeights.filter((weight) => weight !== 0).length > 0, true);
  assert.equal((await load(TUNED)).runId, runId, "the same file is the same run");
  assert.deepEqual(frozenRunDecoder(JSON.parse(JSON.stringify(run))), { ok: true, value: run });
  const lines = ['{"prompt":"one and one? ","completion":"two"}', '{"text":"all of it"}'];
  writeFileSync(join(folder, "b.jsonl"), `${lines.join("\n")}\n`);
  const marked = await load(TUNED.replace("[a.txt]", "[b.jsonl]"));
  assert.equal(marked.run.tokenizer, "ids");
  const ids = new Int32Array(marked.files[0]?.slice().buffer ?? new ArrayBuffer(0));
  const prompt = [...utf8("one and one? ")].map((byte) => -1 - byte);
  assert.deepEqual([...ids.subarray(0, prompt.length)], prompt, "a prompt is not counted");
  assert.deepEqual([...ids.subarray(-9)], [...utf8("all of it")]);
  writeFileSync(join(folder, "b.jsonl"), `${lines[0]}\nnonsense\n`);
  const broken = TUNED.replace("[a.txt]", "[b.jsonl]");
  const strict = load(broken.replace("[b.jsonl]", "[b.jsonl]\n  strict: true"));
  await assert.rejects(strict, /run\.yaml:6:10: b\.jsonl, line 2: /);
  assert.equal((await load(broken)).files[0]?.length, 4 * "one and one? two".length);
  const full = await load(TUNED.replace("method: lora", "method: full").replace(/lora: .*\n/, ""));
  assert.equal(full.run.tuning?.method, "full");
  assert.equal(full.run.fragments[0]?.name, "model.embed_tokens.weight");
  writeFileSync(join(folder, "b.jsonl"), `${lines.join("\n")}\n`);
  const whole = TUNED.replace("method: lora", "method: full").replace(/lora: .*\n/, "");
  const examples = whole.replace("[a.txt]", "[b.jsonl]");
  await assert.rejects(load(examples), (error) => {
    assert.ok(error instanceof InputError);
    assert.match(error.message, /run\.yaml:5:10: b\.jsonl, line 1: .*method full learns all/);
    return /loss: all/.test(error.hint ?? "");
  });
  const learnt = await load(examples.replace("[b.jsonl]", "[b.jsonl]\n  loss: all"));
  const every = new Int32Array(learnt.files[0]?.slice().buffer ?? new ArrayBuffer(0));
  assert.deepEqual([...every.subarray(0, 3)], [...utf8("one")], "the prompt is learnt, too");
  writeFileSync(join(folder, "b.jsonl"), `${lines[1]}\n`);
  assert.equal((await load(examples)).run.tokenizer, "ids", "texts teach all that they say");
  const mistakes: readonly (readonly [string, string, RegExp])[] = [
    ["method: lora\n", "", /method: expected lora or full/],
    ["./model", "./none", /run\.yaml:2:8: .*none/],
    ["optimizer: adamw", "optimizer: muon", /recipe\.optimizer: expected adamw/],
    ["contextLength: 32", "contextLength: 100", /at most model\.maxPositionEmbeddings = 64/],
    ["loraAlpha: 4", "loraAlpha: 4, targetModules: [wrong]", /no block has a matrix wrong/],
    [/lora: .*\n/.exec(TUNED)?.[0] ?? "", "", /lora: expected an object with r and loraAlpha/],
  ];
  for (const [what, instead, expected] of mistakes) {
    await assert.rejects(load(TUNED.replace(what, instead)), expected);
  }
});

const PAID = `${GOOD}pay:
  unitsPerMillionTokens: 2500000
  shares: { training: 0.8, data: 0.2 }
  dataAccount: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
  attestors:
    - "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
    - "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
`;

test("what a run pays: the protocol's terms, on the local chain unless said otherwise", () => {
  const parsed = parseRunFile(PAID);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.error.message);
  assert.deepEqual(payOf(parsed.value.file), {
    chain: LOCAL_CHAIN,
    unitsPerMillionTokens: 2_500_000,
    shares: { trainingBps: 8_000, dataBps: 2_000, storageBps: 0 },
    dataAccount: "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    storageAccount: null,
    settleEvery: 10,
    attestors: [
      "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
      "fb6916095ca1df60bb79ce92ce3ea74c37c5d359",
    ],
    threshold: 2,
    challengeWindowSeconds: 3_600,
  });
  const mistakes: readonly (readonly [string | RegExp, string, RegExp])[] = [
    ["0x5aAeb", "0x5AAeb", /pay\.dataAccount: expected an account in quotes, .* checksum/],
    [/"0x5aAeb.*"/, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", /in quotes.*found 5\.1/],
    ["data: 0.2", "data: 0.1", /pay\.shares: expected shares that sum to 10000/],
    ["2500000", "2.5", /unitsPerMillionTokens: expected an integer/],
    ["attestors:", "threshold: 3\n  attestors:", /pay\.threshold: expected at most 2/],
  ];
  for (const [what, instead, expected] of mistakes) {
    const wrong = parseRunFile(PAID.replace(what, instead));
    assert.ok(!wrong.ok, `${instead} was taken`);
    assert.match(wrong.error.message, expected);
  }
});

test("who scores: ascending by account, with a stake of 1 unless said otherwise", () => {
  const scored = `${PAID}  scores:
    validators:
      - { account: "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", stake: 3 }
      - { account: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" }
`;
  const parsed = parseRunFile(scored);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.error.message);
  assert.deepEqual(payOf(parsed.value.file)?.scores, {
    validators: [
      { account: "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", stake: 1 },
      { account: "fb6916095ca1df60bb79ce92ce3ea74c37c5d359", stake: 3 },
    ],
  });
  const other = 'account: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"';
  const twice = parseRunFile(scored.replace(/account: "0xfB\w+"/, other));
  assert.match(twice.ok ? "" : twice.error.message, /each validator once/);
});

test("the example is a good run file", () => {
  const example = new URL("../../../../examples/shakespeare/run.yaml", import.meta.url);
  const parsed = parseRunFile(readFileSync(example, "utf8"));
  assert.ok(parsed.ok);
});
