// `manyhands verify <run>`: replays the log and every state root from the blobs, and says what differs.

import { readFileSync } from "node:fs";
import { InputError } from "@manyhands/base/errors";
import type { VerifyReport } from "@manyhands/coordinator/verify";
import { readSafetensors } from "@manyhands/engine/checkpoint/safetensors";
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_FAILED, EXIT_OK } from "../exit-codes.ts";
import { findRunFolder } from "../run/run-folder.ts";
import { groupedText, shortId } from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { progressBar } from "../terminal/sparkline.ts";
import { LiveScreen } from "../view/live-screen.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
Checks the hash chain and every signature, replays every event, decodes every update, computes every
round's aggregate, weights and state root again, and compares the export with the last weights. A
changed byte is named with its place.`;

const BAR_CELLS = 24;

export function addVerify(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("verify")
    .description("prove that a run's folder is what its log says")
    .argument("<run>", "the run's folder, or its id below runs/")
    .addOption(jsonOption("the report as one JSON object"))
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(["npx manyhands verify runs/<run id>"]))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (given: string, flags: { readonly json?: boolean }) => {
      const folder = findRunFolder(given);
      const report = await verifyWithProgress(folder, io);
      if (flags.json) printJson(io, { ok: report.problems.length === 0, ...report });
      else print(io, reportText(report, folder, io));
      setExitCode(report.problems.length === 0 ? EXIT_OK : EXIT_FAILED);
    });
}

async function verifyWithProgress(folder: string, io: Io): Promise<VerifyReport> {
  const screen = io.stderr.isTTY ? new LiveScreen(io.stderr) : null;
  const { verifyRun } = await import("@manyhands/coordinator/verify");
  const report = await verifyRun(folder, {
    onProgress: ({ done, total, doing }) => {
      const bar = progressBar(total > 0 ? done / total : 0, BAR_CELLS);
      screen?.draw([`${io.errorPaint.green(bar)} ${doing}`]);
    },
    readExport,
  });
  screen?.draw([]);
  screen?.close();
  return report;
}

function readExport(path: string): ReadonlyMap<string, Float32Array> {
  const read = readSafetensors(readFileSync(path));
  if (!read.ok) throw new InputError(`${path}: ${read.error.message}`);
  return new Map(read.value.tensors.map(({ name, values }) => [name, values]));
}

function reportText(report: VerifyReport, folder: string, io: Io): string {
  const { rows, rounds, updates, blobs, problems } = report;
  const counts =
    `${groupedText(rows)} rows, ${groupedText(rounds)} rounds, ` +
    `${groupedText(updates)} updates, ${groupedText(blobs)} blobs`;
  if (problems.length === 0) {
    const id = shortId(report.runId ?? "");
    return `${io.paint.green("verified:")} run ${id} in ${folder} (${counts}); every root agrees.`;
  }
  const found = problems.length === 1 ? "one problem" : `${problems.length} problems`;
  return [
    `${io.paint.red(`${found}:`)} ${folder} (${counts})`,
    ...problems.map(({ place, problem }) => `  ${place}: ${problem}`),
  ].join("\n");
}
