// Reads a run file and the data that it names. Disk only; the rules are parse-run-file.ts's.
import { type Dirent, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { compareText } from "@manyhands/base/bytes";
import { InputError, messageOf } from "@manyhands/base/errors";
import { type ParsedRunFile, parseRunFile, type RunFileProblem } from "./parse-run-file.ts";
import type { RunFile } from "./run-file.ts";

/** One file of the data set: the name that the run's id covers, and where it lies here. */
export type DataFile = { readonly name: string; readonly path: string };

export type LoadedRunFile = { readonly file: RunFile; readonly data: readonly DataFile[] };

/**
 * @param path the run file, or a folder that has a run.yaml
 * @throws     InputError that names file, line, field, found and expected
 */
export function loadRunFile(path: string): LoadedRunFile {
  const place = isFolder(path) ? join(path, "run.yaml") : path;
  const parsed = parseRunFile(readText(place));
  if (!parsed.ok) throw problemError(place, parsed.error);
  return { file: parsed.value.file, data: dataFiles(place, parsed.value) };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new InputError(`the run file ${path} cannot be read: ${messageOf(cause)}`, {
      cause,
      hint: "Give the path of a run file; examples/shakespeare/run.yaml is one.",
    });
  }
}

function problemError(place: string, problem: RunFileProblem): InputError {
  const { line, column, message, hint } = problem;
  return new InputError(`${place}:${line}:${column}: ${message}`, hint ? { hint } : {});
}

/** The files that `data.files` names, in its order; a folder stands for all files below it. */
function dataFiles(place: string, parsed: ParsedRunFile): DataFile[] {
  const folder = dirname(resolve(place));
  const seen = new Set<string>();
  return parsed.file.data.files.flatMap((given, index) => {
    const wrong = (found: string, expected: string): InputError =>
      problemError(place, parsed.problemAt({ path: ["data", "files", index], found, expected }));
    const path = resolve(folder, given);
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found) {
      throw wrong(JSON.stringify(given), `a file or folder that exists (looked for ${path})`);
    }
    const files = found.isDirectory() ? filesBelow(path) : [path];
    if (files.length === 0) throw wrong(`the empty folder ${given}`, "a folder with files");
    return files.map((file) => {
      const name = dataName(folder, file);
      if (seen.has(name)) throw wrong(`${name} twice`, "each file once");
      if (statSync(file).size === 0) throw wrong(`${name}, which is empty`, "files with bytes");
      seen.add(name);
      return { name, path: file };
    });
  });
}

/** Regular, visible files below a folder, ordered by their path as text. */
function filesBelow(folder: string): string[] {
  const visible = (entry: Dirent): boolean => entry.isFile() && !entry.name.startsWith(".");
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(visible)
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (file) =>
        !relative(folder, file)
          .split(sep)
          .some((part) => part.startsWith(".")),
    )
    .sort(compareText);
}

/** A name that is the same on every machine: relative to the run file, without the way there. */
function dataName(folder: string, file: string): string {
  const path = relative(folder, file);
  if (isAbsolute(path)) return basename(file);
  const parts = path.split(sep).filter((part) => part !== "..");
  return parts.join("/");
}
