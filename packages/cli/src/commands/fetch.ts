// `manyhands fetch <model>`: a model from the Hugging Face Hub into its cache, and what it is.
// Whatever needs a model fetches it by itself; this is for doing so ahead.
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { architectureOf, contextLimit, parameterCount } from "@manyhands/engine/model/config";
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { bytesText } from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { resolveShown } from "../terminal/resolve-shown.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
<model> is hf:<org>/<name>, hf:<org>/<name>@<branch, tag or commit>, or a folder. Files lie where
Hugging Face's own tools keep them, and are shared with those. An interrupted download goes on with
the same command. HF_TOKEN, HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE mean what they mean there.`;

export function addFetch(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("fetch")
    .description("fetch a model from the Hugging Face Hub, and say whether it can be trained")
    .argument("<model>", "hf:<org>/<name>[@revision], or a folder")
    .addOption(jsonOption("what was fetched, as one JSON object"))
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(["npx manyhands fetch hf:HuggingFaceTB/SmolLM2-135M"]))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (model: string, flags: { readonly json?: boolean }) => {
      await fetchModel(model, io, flags.json === true);
      setExitCode(EXIT_OK);
    });
}

async function fetchModel(name: string, io: Io, json: boolean): Promise<void> {
  const found = await resolveShown(name, io);
  const model = await ModelFolder.open(found.folder);
  await model.close();
  const { config, dtype, bytes } = model;
  const facts = {
    architecture: architectureOf(config),
    parameters: parameterCount(config),
    contextLength: contextLimit(config),
    dtype,
    bytes,
  };
  if (json) return printJson(io, { ...found, ...facts });
  const count = `${(facts.parameters / 1e6).toFixed(1)} million parameters`;
  print(io, `${facts.architecture}, ${count}, ${dtype}, ${bytesText(bytes)}`);
  print(io, found.folder);
}
