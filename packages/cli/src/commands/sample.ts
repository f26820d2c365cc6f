// `manyhands sample <dir|run>`: text from a trained model.
import { readFile } from "node:fs/promises";
import { InputError, messageOf } from "@manyhands/base/errors";
import type { TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { openSpeaker } from "../run/speaker.ts";
import { type Io, printJson } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";
import { wholeNumber } from "./whole-number.ts";

type SampleFlags = {
  readonly prompt: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  readonly seed: number;
  readonly chat?: boolean;
  readonly system?: string;
  readonly chatTemplate?: string;
  readonly json?: boolean;
};

const HELP = `
Writing ends after --tokens, or where the model's makers say: at its end-of-text and end-of-turn
tokens. Of a run of method lora it takes the newest adapters over the base in the run's folder.`;

export function addSample(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("sample")
    .description("generate text with a trained model")
    .argument("<dir|run>", "a model's folder, or a run's folder or id")
    .requiredOption("--prompt <text>", "the text to go on from, or with --chat what is said")
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
    .option("--chat", "speak with the model, in its own chat template")
    .option("--system <text>", "what the model is told before the conversation (with --chat)")
    .option("--chat-template <file>", "a Jinja template in place of the model's own")
    .addOption(jsonOption("prompt and text as one JSON object"))
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText([
        'npx manyhands sample runs/<run id> --prompt "ROMEO:"',
        'npx manyhands sample my-chat-model --chat --prompt "Who was Romeo?"',
      ]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (place: string, flags: SampleFlags) => {
      await sample(place, flags, io);
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

async function sample(place: string, flags: SampleFlags, io: Io): Promise<void> {
  if (flags.prompt === "") throw new InputError("--prompt is empty: give it one character or more");
  if (!flags.chat && (flags.system !== undefined || flags.chatTemplate !== undefined)) {
    throw new InputError("--system and --chat-template are for conversations: add --chat");
  }
  const speaker = await openSpeaker(place, await templateText(flags.chatTemplate));
  try {
    const prompt = promptIds(speaker.tokenizer, flags);
    const stream = speaker.tokenizer.stream();
    let text = "";
    const write = (part: string): void => {
      text += part;
      if (!flags.json) io.stdout.write(part);
    };
    if (!flags.json) io.stdout.write(io.paint.bold(flags.prompt) + (flags.chat ? "\n" : ""));
    const { tokens: tokenCountMax, temperature, topK, topP, seed } = flags;
    const chances = { temperature, topP, seed, ...(topK === undefined ? {} : { topK }) };
    const { stopIds } = speaker;
    for await (const id of speaker.generate({ prompt, tokenCountMax, stopIds, ...chances })) {
      if (!stopIds.includes(id)) write(stream.push([id]));
    }
    write(stream.end());
    if (flags.json) printJson(io, { prompt: flags.prompt, text });
    else io.stdout.write("\n");
  } finally {
    await speaker.dispose();
  }
}

async function templateText(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  return readFile(path, "utf8").catch((cause: unknown) => {
    throw new InputError(`--chat-template ${path} cannot be read: ${messageOf(cause)}`, { cause });
  });
}

/** The prompt as it is, or as a person's turn in the model's own form of a conversation. */
function promptIds(
  tokenizer: TextTokenizer,
  { prompt, chat, system }: Pick<SampleFlags, "prompt" | "chat" | "system">,
): readonly number[] {
  if (!chat) return tokenizer.encode(prompt, { wrap: true });
  if (!tokenizer.chat) {
    throw new InputError("the model has no chat template", {
      hint: "give one with --chat-template FILE, or leave --chat out",
    });
  }
  const messages = [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: prompt },
  ];
  const { text, guard } = tokenizer.chat.renderPrompt({ messages });
  return tokenizer.encode(text, { author: "control", guard });
}
