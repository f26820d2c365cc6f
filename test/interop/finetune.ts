// finetune: the command on a model, a tokenizer and conversations that transformers wrote. What is
// learnt of each conversation, and the losses before and after, are those that transformers and
// peft compute from the same files.
//
// Usage: finetune.ts <python> <work folder>
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTextData } from "@manyhands/engine/data/node-text-data";
import { NOT_COUNTED, type TextBatches } from "@manyhands/engine/data/text-batches";
import { readTokenizer } from "@manyhands/engine/tokenizer/node-tokenizer";
import { runCommand } from "manyhands/main";
import { processIo } from "manyhands/terminal/io";

type Row = readonly [tokens: readonly number[], targets: readonly number[]];
type Answer = {
  /** Ids and mask of each conversation without a control token in a message. */
  readonly chats: readonly (readonly [readonly number[], readonly number[]])[];
  readonly before: number;
  readonly after: number;
  readonly merged: number;
  readonly control: number;
};

const LOSS_DIFFERENCE_MAX = 1e-4;
const SEQUENCE = 96;
const SHARE = 0.2;

let failed = 0;

async function main(python: string, work: string): Promise<void> {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  runPython(python, ["make", work]);
  const model = join(work, "model");
  const data = join(work, "chats.jsonl");
  const run = join(work, "run");
  const shape = `--sequence ${SEQUENCE} --validation ${SHARE} --padded --base f32`.split(" ");
  const steps = "--steps 30 --batch 8 --rate 0.01 --rank 8 --eval-every 30".split(" ");
  await command("finetune", "--model", model, "--data", data, "--out", run, ...shape, ...steps);
  await command(
    "merge",
    model,
    "--adapter",
    join(run, "adapter"),
    "--out",
    join(work, "merged"),
    "--dtype",
    "f32",
  );
  const tokenizer = await readTokenizer(model, 1 << 20);
  const text = { tokenizer, sequence: SEQUENCE, layout: "padded", loss: "assistant" } as const;
  const loaded = await loadTextData([data], { ...text, seed: 0, validationShare: SHARE });
  const held = loaded.validation ? rowsOf(loaded.validation) : [];
  writeFileSync(join(work, "rows.json"), JSON.stringify(held));
  const answer: Answer = JSON.parse(runPython(python, ["check", work]));
  const summary = JSON.parse(readFileSync(join(run, "summary.json"), "utf8"));
  checkRows([...rowsOf(loaded.train), ...held], answer);
  checkLoss("before", summary.baseValidationLoss, answer.before);
  checkLoss("after", summary.validationLoss, answer.after);
  checkLoss("merged", summary.validationLoss, answer.merged);
  process.exitCode = failed === 0 ? 0 : 1;
}

function rowsOf(batches: TextBatches): Row[] {
  return [...batches.inOrder(1)].map(({ tokens, targets }) => [[...tokens], [...targets]]);
}

/** Every conversation's ids and counted targets are among our rows. */
function checkRows(rows: readonly Row[], { chats, control }: Answer): void {
  const ours = new Set(rows.map(([, targets]) => targets.join()));
  const missing = chats.filter(([ids, mask]) => {
    const targets = Array.from({ length: SEQUENCE }, (_, i) =>
      mask[i + 1] === 1 ? (ids[i + 1] ?? NOT_COUNTED) : NOT_COUNTED,
    );
    return !ours.has(targets.join());
  });
  report(missing.length === 0, `${chats.length} conversations: ids and what is learnt`);
  // Two turns or four, each with one end: a message that spells it adds none. The id pads, too.
  const ends = rows.map(([tokens]) => tokens.filter((id) => id === control).length);
  const padding = rows.map(
    ([tokens]) => tokens.length - tokens.findLastIndex((id) => id !== control),
  );
  report(
    ends.every((count, i) => [2, 4].includes(count - (padding[i] ?? 0) + 2)),
    "control tokens that a message spells are letters",
  );
}

function checkLoss(what: string, ours: number, theirs: number): void {
  const ok = Math.abs(ours - theirs) <= LOSS_DIFFERENCE_MAX * theirs;
  report(ok, `validation loss, ${what}: ${ours.toFixed(6)}, peft ${theirs.toFixed(6)}`);
}

function report(ok: boolean, what: string): void {
  failed += ok ? 0 : 1;
  console.log(`${ok ? "ok  " : "FAIL"} finetune: ${what}`);
}

async function command(...words: readonly string[]): Promise<void> {
  const io = { ...processIo(), stdout: { write: () => true } };
  const code = await runCommand(words, io);
  if (code !== 0) throw new Error(`${words[0]}: exit ${code}`);
}

function runPython(python: string, words: readonly string[]): string {
  const script = join(import.meta.dirname, "finetune.py");
  const run = spawnSync(python, [script, ...words], { encoding: "utf8", maxBuffer: 1 << 28 });
  if (run.status === 0) return run.stdout.trim().split("\n").at(-1) ?? "";
  throw new Error(`finetune.py: exit ${run.status}\n${run.stderr.slice(-2_000)}`);
}

const [python = "python3", work = ".cache/interop-work/finetune"] = process.argv.slice(2);
await main(python, work);
