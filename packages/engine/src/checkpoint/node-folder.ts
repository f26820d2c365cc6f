// An export folder on disk: written whole or not at all, and read back.
// Node only. What the files say is in export.ts and import.ts.
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InputError, ManyhandsError, messageOf } from "@manyhands/base/errors";
import { TOKENIZER_FILES } from "../tokenizer/tokenizer-files.ts";
import { EXPORT_FILE_NAMES, type ExportFile } from "./export.ts";
import type { ImportedModel } from "./import.ts";
import { importModelFolder } from "./model-folder.ts";

/** The disk refused. The folder is as it was before. */
export class ExportError extends ManyhandsError {
  override readonly name = "ExportError";

  constructor(folder: string, cause: unknown) {
    super(`could not write the export ${folder}: ${messageOf(cause)}`, {
      cause,
      hint: "check free space and permissions, and export again",
    });
  }
}

/** Which files may lie in a folder that is replaced. */
export type KnownName = (name: string) => boolean;

/**
 * Writes the files into a new folder, and puts it where the target is or was.
 *
 * @throws InputError  if the target holds anything that is no export
 * @throws ExportError if the disk refuses
 */
export async function writeExportFolder(
  folder: string,
  files: readonly ExportFile[],
): Promise<void> {
  const known: readonly string[] = [...EXPORT_FILE_NAMES, ...TOKENIZER_FILES];
  await fillFolder(
    folder,
    (name) => known.includes(name),
    async (fresh) => {
      for (const file of files) await writeDurably(join(fresh, file.name), file.bytes);
    },
  );
}

/**
 * Lets `fill` write into a new folder beside the target, makes it durable, and gives it the
 * target's name: a reader sees the old folder or the new one. A crash between the two renames
 * leaves the old one as `.<name>.old`; the next call removes it.
 *
 * @throws InputError  if the target holds anything that is not known
 * @throws ExportError if the disk refuses; other errors of ours pass as they are
 */
export async function fillFolder(
  folder: string,
  isKnown: KnownName,
  fill: (fresh: string) => Promise<void>,
): Promise<void> {
  const target = resolve(folder);
  const replaces = await holdsOnly(target, isKnown);
  const beside = (suffix: string): string =>
    join(dirname(target), `.${basename(target)}.${suffix}`);
  const [fresh, old] = [beside("new"), beside("old")];
  try {
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh, { recursive: true });
    await fill(fresh);
    await syncFolder(fresh);
    await rm(old, { recursive: true, force: true });
    if (replaces) await rename(target, old);
    await putInPlace(fresh, target, replaces ? old : undefined);
    await syncFolder(dirname(target));
    await rm(old, { recursive: true, force: true });
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    if (cause instanceof ManyhandsError) throw cause;
    throw new ExportError(folder, cause);
  }
}

/** Gives the new folder the target's name; if that fails, the old one gets its name back. */
async function putInPlace(fresh: string, target: string, old: string | undefined): Promise<void> {
  try {
    await rename(fresh, target);
  } catch (cause) {
    if (old !== undefined) await rename(old, target);
    throw cause;
  }
}

/** Is there an earlier folder (true), or nothing (false)? @throws InputError if something else */
async function holdsOnly(target: string, isKnown: KnownName): Promise<boolean> {
  let names: string[];
  try {
    names = await readdir(target);
  } catch (caught) {
    if (codeOf(caught) === "ENOENT") return false;
    throw new InputError(`${target} is no folder that can hold an export`, {
      cause: caught,
      hint: "name a folder that is empty or does not exist",
    });
  }
  const other = names.find((name) => !isKnown(name));
  if (other === undefined) return true;
  throw new InputError(`${target} holds ${other}, which is no part of an export`, {
    hint: "name a folder that is empty or does not exist",
  });
}

/** A new file, on the disk when this returns. */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * The model in an export folder, ours or one that transformers saved.
 *
 * @throws InputError if a file is missing or breaks a rule
 */
export async function readExportFolder(folder: string): Promise<ImportedModel> {
  return importModelFolder(folder);
}

function codeOf(caught: unknown): unknown {
  return typeof caught === "object" && caught !== null ? Reflect.get(caught, "code") : undefined;
}
