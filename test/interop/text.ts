// text: tokenizers of every supported kind, saved by the real transformers, read by us: ids,
// decoded text and rendered conversations are those of transformers, on texts that try hard.
// Not part of npm test, which needs no Python; two small cases are kept for it in vectors/engine.
//
// Usage: text.ts <python> <work folder> [--vectors]
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compareText } from "@manyhands/base/bytes";
import { checkTokenizer, type Expected } from "@manyhands/engine/testing/tokenizer-check";

const VOCABULARY = 900;
const VECTOR_VOCABULARY = 420;
const KEPT = ["qwen", "llama2"];
const VECTORS = join(import.meta.dirname, "../../vectors/engine/tokenizers");

function main(python: string, work: string, keeps: boolean): void {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const script = join(import.meta.dirname, "text.py");
  const size = keeps ? VECTOR_VOCABULARY : VOCABULARY;
  const run = spawnSync(python, [script, work, String(size)], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`text.py: exit ${run.status}\n${run.stderr.slice(-2_000)}`);
  let failed = 0;
  for (const name of readdirSync(work).sort(compareText)) {
    const problems = check(join(work, name));
    failed += problems.length > 0 ? 1 : 0;
    console.log(`${problems.length === 0 ? "ok  " : "FAIL"} tokenizer ${name}`);
    for (const problem of problems.slice(0, 12)) console.log(`     ${problem}`);
    if (keeps && KEPT.includes(name)) keep(join(work, name), name);
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

function check(folder: string): string[] {
  const text = (name: string): string => readFileSync(join(folder, name), "utf8");
  const expected: Expected = JSON.parse(text("expected.json"));
  const names = readdirSync(folder);
  const config = text("tokenizer_config.json");
  const chatTemplate = names.includes("chat_template.jinja")
    ? text("chat_template.jinja")
    : undefined;
  return checkTokenizer({ tokenizer: text("tokenizer.json"), config, chatTemplate }, expected);
}

function keep(folder: string, name: string): void {
  const text = (file: string): string => readFileSync(join(folder, file), "utf8");
  const vector = {
    tokenizer: JSON.parse(text("tokenizer.json")),
    config: JSON.parse(text("tokenizer_config.json")),
    chatTemplate: text("chat_template.jinja"),
    expected: JSON.parse(text("expected.json")),
  };
  mkdirSync(VECTORS, { recursive: true });
  writeFileSync(join(VECTORS, `${name}.json`), `${JSON.stringify(vector)}\n`);
}

const [python = "python3", work = ".cache/interop-work/text", option] = process.argv.slice(2);
main(python, work, option === "--vectors");
