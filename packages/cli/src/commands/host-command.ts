// What demo, run and up have in common: from a run file and flags to a hosted run.
import { InputError } from "@manyhands/base/errors";
import { EXIT_OK } from "../exit-codes.ts";
import { chainOf } from "../pay/chain-flags.ts";
import { hostRun } from "../run/host-run.ts";
import { announceResult } from "../run/messages.ts";
import { chooseFolder, type FolderChoice, readSummary } from "../run/run-folder.ts";
import { prepareRun } from "../run-file/freeze.ts";
import { type LoadedRunFile, loadRunFile } from "../run-file/load-run-file.ts";
import { tellBadLines } from "../terminal/bad-lines.ts";
import { bytesText, shortId } from "../terminal/format.ts";
import { type Io, remark } from "../terminal/io.ts";
import { resolveShown } from "../terminal/resolve-shown.ts";
import type { HostFlags } from "./options.ts";

export type HostCommand = {
  readonly runFile: string;
  readonly flags: HostFlags;
  /** A finished run is trained once more without being asked for it. */
  readonly again: boolean;
  readonly localWorkers: "from-file" | "none";
  /** For phones in the same network: HTTPS too, and a code to scan. Default: no. */
  readonly lan?: boolean;
  readonly defaultHost: string;
  readonly io: Io;
};

/** @returns the exit code */
export async function hostCommand(command: HostCommand): Promise<number> {
  const { flags, io } = command;
  const json = flags.json ?? false;
  const prepared = prepareRun(await loadShown(command), flags);
  const choice = chooseFolder(prepared.runId, { out: flags.out, again: command.again });
  const summary = choice.found === "finished" ? await readSummary(choice.folder) : null;
  if (summary && summary.runId !== prepared.runId) throw otherRun(choice.folder, summary.runId);
  tellChoice(choice, io);
  if (summary && flags.chain === undefined) {
    announceResult(io, { summary, sample: null, folder: choice.folder, json });
    return EXIT_OK;
  }
  return hostRun({
    prepared,
    summary,
    folder: choice.folder,
    localWorkers: command.localWorkers === "none" ? 0 : prepared.workers,
    memoryBytesMax: flags.memory,
    host: flags.host ?? command.defaultHost,
    port: flags.port,
    lan: command.lan ?? false,
    invites: command.localWorkers === "none" || prepared.workers === 0,
    json,
    io,
    chain: chainOf(flags),
  });
}

/** The run file; a model that it names is fetched before the terminal's eyes. */
async function loadShown({ runFile, io }: HostCommand): Promise<LoadedRunFile> {
  const loaded = await loadRunFile(runFile, { fetchModel: (name) => resolveShown(name, io) });
  const { badLines } = loaded;
  tellBadLines({ badLines, count: badLines.length, strict: "data.strict" }, io);
  tellBase(loaded, io);
  return loaded;
}

/** What every worker will fetch once, and what packing it lost. */
function tellBase({ tuned }: LoadedRunFile, io: Io): void {
  if (!tuned?.base) return;
  const { kind, bytes, report } = tuned.base.model;
  const error = `error ${(report.relativeError * 100).toFixed(2)} %`;
  remark(io, `The base is kept in ${kind} (${bytesText(bytes)}, ${error}).`);
}

function otherRun(folder: string, runId: string): InputError {
  return new InputError(`${folder} holds another run, ${shortId(runId)}`, {
    hint: "Choose another --out, or use the run file and flags that it was begun with.",
  });
}

function tellChoice({ folder, found, finishedBefore }: FolderChoice, io: Io): void {
  const newest = finishedBefore.at(-1);
  if (newest) remark(io, `There is a finished run in ${newest}; training this one in ${folder}.`);
  if (found === "unfinished") remark(io, `Continuing the run in ${folder} where its log ends.`);
  if (found === "finished") {
    remark(io, `This run is finished in ${folder}. --again trains it once more in a new folder.`);
  }
}
