// `manyhands export <run> <dir>`: the model so far as files that other tools load.
import { readdir } from "node:fs/promises";
import { compareText } from "@manyhands/base/bytes";
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { modelCardOf } from "../run/finalise.ts";
import { withOrigin } from "../run/origin.ts";
import { readRun, readWeights } from "../run/read-run.ts";
import { findRunFolder, readSummaryIfFinished } from "../run/run-folder.ts";
import { writeTrained } from "../run/trained-model.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json, generation_config.json
and a model card: the weights after the newest closed round, also while the run goes on. Of a run
of method lora it writes the adapter, as peft reads it; of method full the model with its own
tokenizer. <dir> must be new, empty, or an earlier
export.`;

type ExportFlags = { readonly license?: string; readonly json?: boolean };

export function addExport(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("export")
    .description("write a run's model as a Hugging Face folder")
    .argument("<run>", "the run's folder, or its id below runs/")
    .argument("<dir>", "the folder to write")
    .option("--license <name>", "an SPDX name for the model card")
    .addOption(jsonOption("what was written, as one JSON object"))
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(["npx manyhands export runs/<run id> my-model"]))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (given: string, folder: string, flags: ExportFlags) => {
      await exportRun(findRunFolder(given), folder, { flags, io });
      setExitCode(EXIT_OK);
    });
}

async function exportRun(
  runFolder: string,
  folder: string,
  { flags, io }: { readonly flags: ExportFlags; readonly io: Io },
): Promise<void> {
  const run = readRun(runFolder);
  const { state, status } = run;
  const card = modelCardOf(state.run, {
    runId: state.runId,
    tokens: status.tokensCommitted,
    rounds: state.roundsClosed,
    valLoss: (await readSummaryIfFinished(runFolder))?.valLoss ?? null,
    contributors: status.workers.filter((worker) => worker.updateCount > 0).length,
    license: flags.license ?? null,
  });
  const weights = readWeights(run);
  await withOrigin(run, (tuned) => writeTrained(folder, { run: state.run, weights, tuned, card }));
  const facts = { folder, rounds: state.roundsClosed, tokens: status.tokensCommitted };
  if (flags.json) printJson(io, { ...facts, files: (await readdir(folder)).sort(compareText) });
  else print(io, `Wrote ${folder}: the weights after ${facts.rounds} rounds.`);
}
