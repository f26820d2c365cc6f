// `manyhands finetune`: a model of Hugging Face's kind learns from a person's own texts, on this
// device. Flags and help only; finetune/ does it.
import { BASE_KINDS } from "@manyhands/engine/quantize/kinds";
import { type Command, InvalidArgumentError, Option } from "commander";
import { EXIT_CODES_HELP } from "../exit-codes.ts";
import { DEFAULTS, type FinetuneFlags } from "../finetune/flags.ts";
import { runFinetune } from "../finetune/run-finetune.ts";
import { SCHEDULES } from "../finetune/schedule.ts";
import type { Io } from "../terminal/io.ts";
import { exampleText, jsonOption, memorySize } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";
import { wholeNumber } from "./whole-number.ts";

const HELP = `
Data is .txt, or .jsonl with one of these in every line: {"text": …},
{"prompt": …, "completion": …}, {"messages": [{"role": "user", "content": …}, {"role": "assistant",
"content": …}]}. Of conversations and completions only the answers are learnt, unless --loss all.

The folder of --out gets the adapter (or the model) with its card, report.html and summary.json, and
while it runs a checkpoint: the same command goes on where it was interrupted. Ctrl-C saves and
stops, a second one leaves at once; p (or SIGUSR2) pauses and goes on.`;

const EXAMPLES = [
  "npx manyhands finetune --model hf:HuggingFaceTB/SmolLM2-135M-Instruct --data chats.jsonl",
  "npx manyhands finetune --model ./my-model --data letters.txt --base q4 --rank 8 --dry-run",
];

const MANY = 1 << 30;

export function addFinetune(program: Command, io: Io, setExitCode: SetExitCode): void {
  const command = program
    .command("finetune")
    .description("let a model learn from texts of yours, on this device (LoRA or all weights)")
    .option("--model <model>", "a folder, or hf:<org>/<name>[@revision]")
    .option("--data <file>", "a .txt or .jsonl file, or a folder of them; repeatable", collect);
  addMethodOptions(command);
  addStepOptions(command);
  addDataOptions(command);
  addRunOptions(command)
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(EXAMPLES))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (flags: FinetuneFlags) => {
      setExitCode(await runFinetune(flags, io));
    });
}

function addMethodOptions(command: Command): void {
  command
    .addOption(choice("--method <which>", "adapters, or all weights (default lora)", METHODS))
    .addOption(
      choice(
        "--base <kind>",
        "how the frozen base is kept (default nf4; BitNet ternary)",
        BASE_KINDS,
      ),
    )
    .option("--rank <r>", `of the adapters (default ${DEFAULTS.rank})`, wholeNumber(1, 4_096))
    .option("--alpha <a>", "their scale (default twice the rank)", between(1e-6, 1e6))
    .option("--dropout <p>", "of the adapters' input (default 0)", between(0, 0.99))
    .option("--targets <names>", "q_proj,v_proj,… or all-linear (the default)")
    .option("--rslora", "scale by alpha / √rank")
    .option("--dora", "train magnitudes beside directions");
}

const METHODS = ["lora", "full"] as const;

function addStepOptions(command: Command): void {
  command
    .option("--steps <n>", "how many", wholeNumber(1, MANY))
    .option("--epochs <n>", "passes over the data (default 1)", between(1e-6, 1e6))
    .option("--batch <n>", `sequences of a step (default ${DEFAULTS.batch})`, wholeNumber(1, MANY))
    .option("--micro-batch <n>", "of these at once (default: what fits)", wholeNumber(1, MANY))
    .option("--sequence <n>", `tokens (default ${DEFAULTS.sequence})`, wholeNumber(2, 1 << 20))
    .option("--rate <r>", "peak learning rate (default 2e-4; full: 2e-5)", between(1e-12, 10))
    .addOption(choice("--schedule <kind>", "of the rate (default cosine)", SCHEDULES))
    .option("--warmup <n>", "steps, or a share below 1 (default 0.03)", between(0, MANY))
    .option("--cooldown <n>", "of wsd: steps, or a share (default 0.2)", between(0, MANY))
    .option("--clip <norm>", "of the gradient, 0 for none (default 1)", between(0, 1e9))
    .option("--weight-decay <w>", "of matrices (default 0)", between(0, 10))
    .option("--seed <n>", "of order, adapters and dropout", wholeNumber(0, 2 ** 53 - 1));
}

function addDataOptions(command: Command): void {
  command
    .option("--validation <share>", "held out of the data (default 0.05)", between(0, 0.5))
    .option("--packed", "join documents so that no token is padding (default)")
    .addOption(new Option("--padded", "one document per sequence").conflicts("packed"))
    .addOption(choice("--loss <on>", "what is learnt (default assistant)", LOSSES))
    .option("--control-tokens", 'read "<|im_end|>" and its kin in the data as control tokens')
    .option("--chat-template <file>", "Jinja, in place of the model's own")
    .option("--strict", "end at the first bad line");
}

const LOSSES = ["assistant", "all"] as const;

function addRunOptions(command: Command): Command {
  return command
    .option("--out <dir>", "the run's folder (default finetuned/<model>-<method>)")
    .option(
      "--threads <n>",
      "of the processor (default half of it, at least 2)",
      wholeNumber(1, 256),
    )
    .option("--memory <size>", "what it may take (default: most of what is free)", memorySize)
    .option("--eval-every <n>", "steps between validations", wholeNumber(1, MANY))
    .option("--save-every <n>", "steps between checkpoints", wholeNumber(1, MANY))
    .option("--dry-run", "say whether it fits, how long it takes, and what it writes")
    .option("--resume", "go on with the run in --out; other flags may be left out")
    .option("--restart", "throw away what is in --out and begin anew")
    .addOption(jsonOption("progress and result as JSON, one object per line"));
}

function choice(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, description).choices(choices);
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function between(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Expected a number from ${min} to ${max}.`);
    }
    return value;
  };
}
