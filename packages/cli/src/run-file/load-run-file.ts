// Reads a run file and the data that it names. Disk only; the rules are parse-run-file.ts's.
import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InputError, messageOf } from "@manyhands/base/errors";
import { type DataFile, readDataFiles } from "@manyhands/engine/data/node-files";
import { type ParsedRunFile, parseRunFile, type RunFileProblem } from "./parse-run-file.ts";
import type { RunFile } from "./run-file.ts";

export type LoadedRunFile = { readonly file: RunFile; readonly data: readonly DataFile[] };

/**
 * @param path the run file, or a folder that has a run.yaml
 * @throws     InputError that names file, line, column, field, found and expected
 */
export async function loadRunFile(path: string): Promise<LoadedRunFile> {
  const place = (await isFolder(path)) ? join(path, "run.yaml") : path;
  const parsed = parseRunFile(await readText(place));
  if (!parsed.ok) throw placedError(place, parsed.error);
  return { file: parsed.value.file, data: await loadData(place, parsed.value) };
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null); // what is not there is readText's to report
  return found?.isDirectory() ?? false;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new InputError(`the run file ${path} cannot be read: ${messageOf(cause)}`, {
      cause,
      hint: "Give the path of a run file; examples/shakespeare/run.yaml is one.",
    });
  }
}

function placedError(place: string, problem: RunFileProblem): InputError {
  const { line, column, message, hint } = problem;
  return new InputError(`${place}:${line}:${column}: ${message}`, hint ? { hint } : {});
}

/** The files that `data.files` names, in its order; a mistake is told at its line. */
async function loadData(place: string, parsed: ParsedRunFile): Promise<DataFile[]> {
  const folder = dirname(resolve(place));
  const files = new Map<string, DataFile>();
  for (const [index, given] of parsed.file.data.files.entries()) {
    const path = ["data", "files", index];
    const found = await readDataFiles([given], folder).catch((caught: unknown) => {
      if (!(caught instanceof InputError)) throw caught;
      const { line, column } = parsed.problemAt({ path, found: "", expected: "" });
      const message = `data.files[${index}]: ${caught.message.replace(/^data: /, "")}`;
      throw placedError(place, { line, column, message, hint: caught.hint });
    });
    for (const file of found) {
      if (files.has(file.name)) {
        const expected = "each file once, under its own name";
        throw placedError(place, parsed.problemAt({ path, found: `${file.name} again`, expected }));
      }
      files.set(file.name, file);
    }
  }
  return [...files.values()];
}
