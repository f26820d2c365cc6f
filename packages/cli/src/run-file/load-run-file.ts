// Reads a run file and the data that it names. Disk only; the rules are parse-run-file.ts's.
import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InputError, messageOf } from "@manyhands/base/errors";
import type { BadLine } from "@manyhands/engine/data/examples";
import { type DataFile, readDataFiles } from "@manyhands/engine/data/node-files";
import { type Model, modelDecoder } from "@manyhands/protocol/model-config";
import { checkRunRules, type FrozenRun } from "@manyhands/protocol/run-config";
import { type ParsedRunFile, parseRunFile, type RunFileProblem } from "./parse-run-file.ts";
import { idFiles, tokensKind } from "./run-data.ts";
import { payOf, type RunFile } from "./run-file.ts";
import { type FetchModel, openTunedModel, type TunedModel } from "./tuned-model.ts";

export type LoadedRunFile = {
  readonly file: RunFile;
  readonly model: Model;
  readonly tokenizer: FrozenRun["tokenizer"];
  /** As the run has them: bytes, or ids of the model's own tokenizer. */
  readonly data: readonly DataFile[];
  /** What is trained on, if the run does not begin from nothing. */
  readonly tuned: TunedModel | null;
  /** Lines of its data that were left out, and why. */
  readonly badLines: readonly BadLine[];
};

export type LoadOptions = {
  /** Default: fetched without a word. */
  readonly fetchModel?: FetchModel;
};

/**
 * @param path the run file, or a folder that has a run.yaml
 * @throws     InputError that names file, line, column, field, found and expected; or what is wrong
 *             with the model that it names
 */
export async function loadRunFile(path: string, options: LoadOptions = {}): Promise<LoadedRunFile> {
  const place = (await isFolder(path)) ? join(path, "run.yaml") : path;
  const parsed = parseRunFile(await readText(place));
  if (!parsed.ok) throw placedError(place, parsed.error);
  const { file } = parsed.value;
  const data = await loadData(place, parsed.value);
  const { model } = file;
  if (typeof model !== "string") {
    return { file, model, tokenizer: file.tokenizer, data, tuned: null, badLines: [] };
  }
  return loadTunedRun(place, parsed.value, { data, reference: model, ...options });
}

/** The model that is named, what holds between it and the file, and the data as its tokens. */
async function loadTunedRun(
  place: string,
  parsed: ParsedRunFile,
  named: { readonly data: readonly DataFile[]; readonly reference: string } & LoadOptions,
): Promise<LoadedRunFile> {
  const { file, problemAt } = parsed;
  const { data } = named;
  const tuned = await loadTuned(place, parsed, named);
  const tokenizer = tokensKind(tuned.tokenizer, data);
  const { config } = tuned;
  const bounds = modelDecoder(config, ["model"]);
  if (!bounds.ok) throw placedError(place, problemAt(bounds.error));
  const { tuning } = tuned;
  const rules = checkRunRules({ ...file, model: config, tokenizer, tuning, pay: payOf(file) });
  if (!rules.ok) throw placedError(place, problemAt(rules.error));
  const at = { path: ["data", "files"], found: "", expected: "" };
  if (tokenizer === "bytes") return { file, model: config, tokenizer, data, tuned, badLines: [] };
  const { loss, strict } = file.data;
  const choices = { loss, strict, canSkip: file.method === "lora" };
  const { files, badLines } = await idFiles(tuned.tokenizer, data, choices).catch(
    (caught: unknown) => {
      if (!(caught instanceof InputError)) throw caught;
      const { line, column } = problemAt(at);
      throw placedError(place, { line, column, message: caught.message, hint: caught.hint });
    },
  );
  return { file, model: config, tokenizer, data: files, tuned, badLines };
}

/** The model that is named; a mistake is told at its line. */
async function loadTuned(
  place: string,
  { file, problemAt }: ParsedRunFile,
  { reference, fetchModel }: { readonly reference: string } & LoadOptions,
): Promise<TunedModel> {
  const from = { folder: dirname(resolve(place)), fetchModel };
  return openTunedModel(reference, file, from).catch((caught: unknown) => {
    if (!(caught instanceof InputError)) throw caught;
    const { line, column } = problemAt({ path: ["model"], found: "", expected: "" });
    throw placedError(place, { line, column, message: caught.message, hint: caught.hint });
  });
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
