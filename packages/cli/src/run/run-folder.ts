// Which folder a run lives in, and what its files are called.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";
import type { RunId } from "@manyhands/protocol/run-config";
import type { Summary } from "./summary.ts";

const RUNS_FOLDER = "runs";

export type RunPaths = {
  readonly folder: string;
  readonly log: string;
  readonly exportFolder: string;
  readonly summary: string;
  readonly report: string;
  /** Device keys and state of the workers that were started beside the coordinator. */
  readonly workers: string;
};

export function runPaths(folder: string): RunPaths {
  return {
    folder,
    log: join(folder, "log.sqlite"),
    exportFolder: join(folder, "export"),
    summary: join(folder, "summary.json"),
    report: join(folder, "report.html"),
    workers: join(folder, "workers"),
  };
}

export type FolderWish = {
  readonly out?: string | undefined;
  /** A finished run is trained once more, in a new folder. */
  readonly again: boolean;
};

export type FolderChoice = {
  readonly folder: string;
  /** What the folder holds already. */
  readonly found: "nothing" | "unfinished" | "finished";
  /** Finished attempts that were passed over. */
  readonly finishedBefore: readonly string[];
};

/**
 * runs/<id>, or the folder that was asked for. An unfinished run there is continued; a finished
 * one is left as it is, and with `again` the next free name of runs/<id>-2, runs/<id>-3 … is
 * taken.
 */
export function chooseFolder(runId: RunId, wish: FolderWish): FolderChoice {
  const base = wish.out ?? join(RUNS_FOLDER, runId);
  const finishedBefore: string[] = [];
  for (let attempt = 1; ; attempt++) {
    const folder = attempt === 1 ? base : `${base}-${attempt}`;
    const paths = runPaths(folder);
    if (!existsSync(paths.log)) return { folder, found: "nothing", finishedBefore };
    if (!existsSync(paths.summary)) return { folder, found: "unfinished", finishedBefore };
    if (!wish.again) return { folder, found: "finished", finishedBefore };
    finishedBefore.push(folder);
  }
}

/** The summary of a finished run. @throws InputError if the folder has none that can be read */
export async function readSummary(folder: string): Promise<Summary> {
  const { summary } = runPaths(folder);
  try {
    return JSON.parse(await readFile(summary, "utf8")) as Summary;
  } catch (cause) {
    throw new InputError(`${summary} cannot be read`, {
      cause,
      hint: "Remove it, and the next `manyhands run` writes it anew.",
    });
  }
}

export async function readSummaryIfFinished(folder: string): Promise<Summary | null> {
  return existsSync(runPaths(folder).summary) ? readSummary(folder) : null;
}

/** A run's folder from what a person typed: the folder, or the run's id below runs/. */
export function findRunFolder(given: string): string {
  for (const folder of [given, join(RUNS_FOLDER, given)]) {
    if (existsSync(runPaths(folder).log)) return folder;
  }
  throw new InputError(`there is no run in ${given}`, {
    hint: "Give a run's folder (it has a log.sqlite), or its id if it lies below runs/.",
  });
}
