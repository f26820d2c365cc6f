// `manyhands finetune` on a tiny model: what is learnt and written, what a second call does, and
// what is refused.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { compareText } from "@manyhands/base/bytes";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { readAdapterFolder } from "@manyhands/engine/peft/adapter-folder";
import { lockFolder } from "@manyhands/worker/node/folder-lock";
import { runCommand } from "../main.ts";
import { PLAIN } from "../terminal/style.ts";
import { writeTinyData, writeTinyModel } from "../testing/tiny-model.ts";

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "manyhands-finetune-"));
  writeTinyModel(join(folder, "model"));
  writeTinyData(join(folder, "data.jsonl"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function run(out: string, ...words: readonly string[]): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const code = await runCommand(["finetune", "--out", join(folder, out), ...words], {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: { HOME: folder, MANYHANDS_CACHE: join(folder, "bases") },
    paint: PLAIN,
    errorPaint: PLAIN,
  });
  return { code, stdout, stderr };
}

const begin = (out: string, ...words: readonly string[]): Promise<Ended> =>
  run(out, ...["--model", join(folder, "model"), "--data", join(folder, "data.jsonl")], ...words);
const SHORT = ["--steps", "12", "--batch", "4", "--sequence", "48", "--rate", "0.01", "--padded"];

test("adapters learn, and the folder has what the help says", async () => {
  const { code, stdout, stderr } = await begin("lora", ...SHORT, "--base", "q8", "--dora");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /the base is kept in q8/);
  assert.match(stdout, /step 12\/12 .* loss \d\.\d+ · validation \d\.\d+/);
  const names = readdirSync(join(folder, "lora")).sort(compareText);
  const rest = ["adapter", "checkpoint.bin", "finetune.json", "report.html", "summary.json"];
  assert.deepEqual(names, rest);
  const summary = JSON.parse(readFileSync(join(folder, "lora", "summary.json"), "utf8"));
  assert.ok(summary.validationLoss < 0.95 * summary.baseValidationLoss, JSON.stringify(summary));
  const model = await ModelFolder.open(join(folder, "model"));
  const adapter = await readAdapterFolder(join(folder, "lora", "adapter"), model.config);
  await model.close();
  assert.equal(adapter.adapter.useDora, true);
  const card = readFileSync(join(folder, "lora", "adapter", "README.md"), "utf8");
  for (const words of [summary.data[0].sha256, 'license: "mit"', "peft", "llama"]) {
    assert.ok(card.includes(words), words);
  }
  assert.match(readFileSync(join(folder, "lora", "report.html"), "utf8"), /nats per token/);
});

test("a second call tells the result, another recipe is refused, --restart begins anew", async () => {
  await begin("second", ...SHORT);
  const summary = readFileSync(join(folder, "second", "summary.json"), "utf8");
  const here = process.cwd();
  process.chdir(tmpdir());
  const again = await run("second", "--resume").finally(() => process.chdir(here));
  assert.equal(again.code, 0);
  assert.match(again.stderr, /finished/);
  assert.match(again.stdout, /validation loss/);
  assert.equal(readFileSync(join(folder, "second", "summary.json"), "utf8"), summary);
  const other = await begin("second", ...SHORT, "--rank", "4", "--seed", "3");
  assert.equal(other.code, 2);
  assert.match(other.stderr, /another recipe: adapter.r: 16 → 4; adapter.loraAlpha: 32 → 8; seed/);
  const fresh = await begin("second", ...SHORT, "--rank", "4", "--restart");
  assert.equal(fresh.code, 0, fresh.stderr);
});

test("a folder that another process trains in is left alone", async () => {
  const out = join(folder, "busy");
  const lock = lockFolder(out);
  const { code, stderr } = await begin("busy", ...SHORT);
  lock.release();
  assert.notEqual(code, 0);
  assert.match(stderr, /busy/);
  assert.deepEqual(readdirSync(out), []);
  assert.equal((await begin("busy", ...SHORT)).code, 0);
});

test("data that has changed since is another recipe", async () => {
  const data = join(folder, "changing.txt");
  writeFileSync(data, "some words to learn. ".repeat(40));
  const words = ["--model", join(folder, "model"), "--data", data, "--steps", "2"];
  assert.equal((await run("changing", ...words, "--sequence", "32")).code, 0);
  writeFileSync(data, "other words to learn. ".repeat(40));
  const { code, stderr } = await run("changing", "--resume");
  assert.equal(code, 2);
  assert.match(stderr, /data.0.bytes: 840 → 880; data.0.sha256/);
});

test("a dry run says whether it fits, how long it takes, what it writes, and writes nothing", async () => {
  const { code, stdout } = await begin("dry", ...SHORT, "--dry-run");
  assert.equal(code, 0);
  assert.match(stdout, /it fits/);
  assert.match(stdout, /time: .* \(12 steps of .*, measured\)/);
  assert.match(stdout, /writes: .*adapter/);
  assert.equal(existsSync(join(folder, "dry")), false);
  const small = await begin("dry", ...SHORT, "--dry-run", "--memory", "1MB", "--json");
  assert.equal(JSON.parse(small.stdout).fits, false);
  const refused = await begin("dry", ...SHORT, "--memory", "1MB");
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /of memory/);
});

test("all weights can be trained, and JSON tells it step by step", async () => {
  const { code, stdout } = await begin("full", ...SHORT, "--method", "full", "--json");
  assert.equal(code, 0);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(lines.filter(({ type }) => type === "step").length, 12);
  assert.equal(lines.at(-1).type, "end");
  const model = await ModelFolder.open(join(folder, "full", "model"));
  await model.close();
});

test("bad lines are named; mistakes are told with what to do, and begin nothing", async () => {
  writeFileSync(join(folder, "bad.jsonl"), '{"text": "a text to learn from."}\n{"txt": 1}\n');
  const words = ["--model", join(folder, "model"), "--data", join(folder, "bad.jsonl")];
  const short = ["--padded", "--steps", "1", "--validation", "0"];
  const mild = await run("bad", ...words, ...short);
  assert.equal(mild.code, 0, mild.stderr);
  assert.match(mild.stderr, /bad.jsonl, line 2: has no "messages".*\n1 bad line/);
  const cases: readonly [readonly string[], RegExp][] = [
    [[...words, "--strict"], /bad.jsonl, line 2/],
    [[...words, "--sequence", "4096"], /longer than this model can read/],
    [[...words, "--batch", "6", "--micro-batch", "4"], /no multiple/],
    [[...words, "--targets", "nothing_proj"], /nothing_proj/],
    [[...words, "--method", "full", "--base", "q4"], /no base in q4/],
    [["--data", "x.txt"], /--model/],
    [["--model", join(folder, "model")], /--data/],
    [["--resume"], /no run to resume/],
  ];
  for (const [given, sentence] of cases) {
    const { code, stderr } = await run("refused", ...given);
    assert.equal(code, 2, `${given.join(" ")}: ${stderr}`);
    assert.match(stderr, sentence);
    assert.equal(existsSync(join(folder, "refused")), false, given.join(" "));
  }
  const foreign = await begin("model", ...SHORT);
  assert.match(foreign.stderr, /holds .*, and no fine-tuning run/);
});
