// `manyhands merge <model> --adapter <dir> --out <dir>`: one model out of a base and its adapter.
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { licenseOfReadme, mergedCardText } from "@manyhands/engine/checkpoint/finetune-card";
import { writeMergedModel } from "@manyhands/engine/convert/merged-model";
import { MODEL_TYPES, type ModelType } from "@manyhands/engine/convert/model-folder-files";
import { type Command, Option } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { bytesText } from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { resolveShown } from "../terminal/resolve-shown.ts";
import { ShareLine } from "../terminal/share-line.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
<model> is the base that the adapter was trained on: hf:<org>/<name>[@revision], or a folder. The
adapter is a folder as PEFT writes one, ours or another's. The result is a folder that transformers
loads without PEFT: the base's config and tokenizer, weights in safetensors, a model card. It must
be new, empty, or an earlier model. Weights pass one by one, so a model may be larger than memory.`;

type MergeFlags = {
  readonly adapter: string;
  readonly out: string;
  readonly dtype?: ModelType;
  readonly json?: boolean;
};

export function addMerge(program: Command, io: Io, setExitCode: SetExitCode): void {
  const types = new Option("--dtype <type>", "how weights are stored (default: as the base's are)");
  program
    .command("merge")
    .description("merge a LoRA adapter into its base: a model that needs no adapter")
    .argument("<model>", "hf:<org>/<name>[@revision], or a folder")
    .requiredOption("--adapter <dir>", "the adapter's folder")
    .requiredOption("--out <dir>", "the folder to write")
    .addOption(types.choices(MODEL_TYPES))
    .addOption(jsonOption("what was written, as one JSON object"))
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText([
        "npx manyhands merge hf:HuggingFaceTB/SmolLM2-135M --adapter my-adapter --out my-model",
      ]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (model: string, flags: MergeFlags) => {
      await merge(model, flags, io);
      setExitCode(EXIT_OK);
    });
}

async function merge(model: string, flags: MergeFlags, io: Io): Promise<void> {
  const found = await resolveShown(model, io);
  const line = new ShareLine(io.stderr);
  const card = mergedCardText({
    name: basename(resolve(flags.out)),
    base: { name: found.repo ?? basename(found.folder), commit: found.commit },
    license: licenseOfReadme(await readmeOf(found.folder)),
    adapterCard: await readmeOf(flags.adapter),
  });
  const { bytes, files, dtype } = await writeMergedModel({
    ...{ base: found.folder, adapter: flags.adapter, target: flags.out, dtype: flags.dtype, card },
    onProgress: (done, total) => line.show(done, total),
  }).finally(() => line.end());
  if (flags.json) return printJson(io, { folder: flags.out, bytes, files, dtype });
  const what = files.length === 1 ? "one file" : `${files.length} files`;
  print(io, `Wrote ${flags.out}: ${bytesText(bytes)} of weights in ${dtype}, ${what}.`);
}

/** A folder's card; nothing where there is none. */
async function readmeOf(folder: string): Promise<string> {
  return await readFile(join(folder, "README.md"), "utf8").catch(() => "");
}
