// `manyhands sample <dir|run>`: text from a trained model.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";
import type { ImportedModel } from "@manyhands/engine/checkpoint/import";
import { readExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { createGenerator } from "@manyhands/engine/generate/generator";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { readTokenizer } from "@manyhands/engine/tokenizer/node-tokenizer";
import type { TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { findRunFolder, runPaths } from "../run/run-folder.ts";
import { type Io, printJson } from "../terminal/io.ts";
import { exampleText, jsonOption, wholeNumber } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

type SampleFlags = {
  readonly prompt: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  readonly seed: number;
  readonly json?: boolean;
};

export function addSample(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("sample")
    .description("generate text with a trained model")
    .argument("<dir|run>", "an export folder, or a finished run's folder or id")
    .requiredOption("--prompt <text>", "the text to go on from")
    .option("--tokens <n>", "tokens to generate", wholeNumber(1, 1_000_000), 400)
    .option("--temperature <t>", "0 takes the most likely token", numberBetween(0, 100), 0.8)
    .option("--top-k <k>", "only the k most likely tokens", wholeNumber(1, 1 << 24))
    .option(
      "--top-p <p>",
      "only the most likely tokens up to this probability",
      numberBetween(0, 1),
      1,
    )
    .option("--seed <n>", "the same seed gives the same text", wholeNumber(0, 2 ** 53 - 1), 0)
    .addOption(jsonOption("prompt and text as one JSON object"))
    .addHelpText("after", exampleText(['npx manyhands sample runs/<run id> --prompt "ROMEO:"']))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (place: string, flags: SampleFlags) => {
      await sample(await readModel(place), flags, io);
      setExitCode(EXIT_OK);
    });
}

function numberBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Expected a number from ${min} to ${max}.`);
    }
    return value;
  };
}

type TextModel = ImportedModel & { readonly tokenizer: TextTokenizer };

async function readModel(place: string): Promise<TextModel> {
  if (existsSync(join(place, "config.json"))) return readTextModel(place);
  const { exportFolder } = runPaths(findRunFolder(place));
  if (existsSync(exportFolder)) return readTextModel(exportFolder);
  throw new InputError(`the run in ${place} has no model yet`, {
    hint: "It is exported when the run ends; `manyhands export` writes the weights so far.",
  });
}

async function readTextModel(folder: string): Promise<TextModel> {
  const model = await readExportFolder(folder);
  return { ...model, tokenizer: await readTokenizer(folder, model.config.vocabSize) };
}

async function sample(model: TextModel, flags: SampleFlags, io: Io): Promise<void> {
  if (flags.prompt === "") throw new InputError("--prompt is empty: give it one character or more");
  const runtime = ortNode;
  const generator = await createGenerator({ runtime, model: model.config, threads: 2 });
  const { tokenizer } = model;
  const stream = tokenizer.stream();
  let text = "";
  const write = (part: string): void => {
    text += part;
    if (!flags.json) io.stdout.write(part);
  };
  if (!flags.json) io.stdout.write(io.paint.bold(flags.prompt));
  try {
    for await (const id of generator.generate({
      weights: model.weights,
      prompt: Int32Array.from(tokenizer.encode(flags.prompt, { wrap: true })),
      tokenCountMax: flags.tokens,
      temperature: flags.temperature,
      ...(flags.topK === undefined ? {} : { topK: flags.topK }),
      topP: flags.topP,
      seed: flags.seed,
    })) {
      if (id === tokenizer.eosId) break;
      write(stream.push([id]));
    }
    write(stream.end());
  } finally {
    await generator.dispose();
  }
  if (flags.json) printJson(io, { prompt: flags.prompt, text });
  else io.stdout.write("\n");
}
