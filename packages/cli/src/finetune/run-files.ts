// What lies in a fine-tuning run's folder, and how it gets there: whole or not at all.
import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError, messageOf } from "@manyhands/base/errors";
import { CommandError } from "../terminal/failure.ts";
import type { FinetuneFlags } from "./flags.ts";
import { type Recipe, recipeHash } from "./recipe.ts";

export type FinetunePaths = {
  readonly folder: string;
  /** Flags and recipe: which run this is. */
  readonly run: string;
  readonly checkpoint: string;
  /** The result: an adapter, or a whole model. */
  readonly adapter: string;
  readonly model: string;
  readonly report: string;
  /** Written last: the run is finished. */
  readonly summary: string;
};

export type StoredRun = {
  readonly flags: FinetuneFlags;
  /** Where the command was given: what its paths are relative to. */
  readonly workingFolder: string;
  readonly recipe: Recipe;
};

/** What a process that uses the folder puts there: worker's folder-lock.ts. */
const LOCK = "lock";
const RUN_BYTES_MAX = 1 << 24;

export function finetunePaths(folder: string): FinetunePaths {
  return {
    folder,
    run: join(folder, "finetune.json"),
    checkpoint: join(folder, "checkpoint.bin"),
    adapter: join(folder, "adapter"),
    model: join(folder, "model"),
    report: join(folder, "report.html"),
    summary: join(folder, "summary.json"),
  };
}

/**
 * The run that was begun in a folder.
 *
 * @throws InputError if the folder holds something else, or what it holds is damaged
 */
export async function readStoredRun(paths: FinetunePaths): Promise<StoredRun | undefined> {
  const text = await textAt(paths.run);
  if (text === undefined) {
    const names = await readdir(paths.folder).catch(() => []);
    const [other] = names.filter((name) => name !== LOCK);
    if (other === undefined) return undefined;
    throw new InputError(`${paths.folder} holds ${other}, and no fine-tuning run`, {
      hint: "choose an --out that is empty or does not exist",
    });
  }
  let value: StoredRun & { readonly recipeHash: string };
  try {
    value = JSON.parse(text);
    if (recipeHash(value.recipe) === value.recipeHash) return value;
  } catch (cause) {
    throw damaged(paths.run, messageOf(cause));
  }
  throw damaged(paths.run, "its recipe is not the one that its hash says");
}

export async function writeStoredRun(paths: FinetunePaths, run: StoredRun): Promise<void> {
  const value = { ...run, recipeHash: recipeHash(run.recipe) };
  await mkdir(paths.folder, { recursive: true });
  await writeText(paths.run, `${JSON.stringify(value, null, 2)}\n`);
}

/** What --restart throws away: everything that this command wrote. */
export async function removeRun(paths: FinetunePaths): Promise<void> {
  const { summary, checkpoint, run, report, adapter, model } = paths;
  // The summary first: without it no reader takes the rest for a finished run.
  for (const path of [summary, checkpoint, run, report, adapter, model]) {
    await rm(path, { recursive: true, force: true });
  }
}

/** @throws CommandError if the disk refuses; the file is as it was before */
export async function writeText(path: string, text: string): Promise<void> {
  const fresh = join(dirname(path), `.${basename(path)}.new`);
  try {
    const file = await open(fresh, "w");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (cause) {
    await rm(fresh, { force: true });
    throw new CommandError(`cannot write ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "check free space and permissions, and give the same command again",
    });
  }
}

export async function textAt(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length <= RUN_BYTES_MAX) return text;
  } catch (caught) {
    const isMissing = caught instanceof Error && Reflect.get(caught, "code") === "ENOENT";
    if (isMissing) return undefined;
    throw new InputError(`cannot read ${path}: ${messageOf(caught)}`, { cause: caught });
  }
  throw damaged(path, "it is too long");
}

export function sha256Text(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function damaged(path: string, why: string): InputError {
  return new InputError(`${path} is damaged: ${why}`, {
    hint: "choose another --out, or begin anew with --restart",
  });
}
