// `manyhands verify <run>`: replays the log and every state root from the blobs, and says what
// differs.

import { type VerifyReport, verifyRun } from "@manyhands/coordinator/verify";
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
  const report = await verifyRun(folder, {
    onProgress: ({ done, total, doing }) => {
      const bar = progressBar(total ? done / total : 0, BAR_CELLS);
      screen?.draw([`${io.errorPaint.green(bar)} checking ${doing}`]);
    },
  });
  screen?.draw([]);
  screen?.close();
  return report;
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
