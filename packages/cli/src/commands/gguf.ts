// `manyhands gguf <model> --out <file>`: a model as the one file that llama.cpp loads.
import { GGUF_TYPES, type GgufType, writeGguf } from "@manyhands/engine/convert/gguf-file";
import { type Command, Option } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { bytesText } from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { resolveShown } from "../terminal/resolve-shown.ts";
import { ShareLine } from "../terminal/share-line.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
<model> is hf:<org>/<name>[@revision], or a folder: a fine-tuned model, a run's export, anybody's.
With --adapter, a LoRA adapter is merged on the way. The file has the tokenizer and its chat
template in it. A model or tokenizer that llama.cpp would read differently is refused. Types:
  f32   as trained           f16   half the size, the same answers
  q8_0  a quarter            q4_0  an eighth; embedding and head stay at 8 bits`;

type GgufFlags = {
  readonly adapter?: string;
  readonly out: string;
  readonly type: GgufType;
  readonly json?: boolean;
};

export function addGguf(program: Command, io: Io, setExitCode: SetExitCode): void {
  const types = new Option("--type <type>", "how matrices are stored");
  program
    .command("gguf")
    .description("write a model as a GGUF file for llama.cpp")
    .argument("<model>", "hf:<org>/<name>[@revision], or a folder")
    .option("--adapter <dir>", "a LoRA adapter to merge in")
    .requiredOption("--out <file>", "the file to write; an earlier GGUF file is replaced")
    .addOption(types.choices(GGUF_TYPES).default("q8_0"))
    .addOption(jsonOption("what was written, as one JSON object"))
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(["npx manyhands gguf my-model --type q4_0 --out my.gguf"]))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (model: string, flags: GgufFlags) => {
      await convert(model, flags, io);
      setExitCode(EXIT_OK);
    });
}

async function convert(model: string, flags: GgufFlags, io: Io): Promise<void> {
  const { folder } = await resolveShown(model, io);
  const line = new ShareLine(io.stderr);
  const { adapter, out, type } = flags;
  const { bytes, tensors, unblocked } = await writeGguf({
    ...{ model: folder, adapter, target: out, type },
    onProgress: (done, total) => line.show(done, total),
  }).finally(() => line.end());
  if (flags.json) return printJson(io, { file: out, type, bytes, tensors, unblocked });
  print(io, `Wrote ${out}: ${bytesText(bytes)}, ${tensors} tensors, matrices in ${type}.`);
  if (unblocked.length === 0) return;
  print(io, `${unblocked.length} matrices have rows of no whole blocks and are in f16.`);
}
