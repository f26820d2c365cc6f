// Who speaks in `manyhands sample`: the model of a folder, or a run's adapters over the base that
// its own folder has. It deliberately prints nothing.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";
import { readExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { createGenerator, type GenerateOptions } from "@manyhands/engine/generate/generator";
import { TunedGenerator } from "@manyhands/engine/generate/tuned-generator";
import { platformSha256 } from "@manyhands/engine/quantize/base-cache";
import { decodeBase } from "@manyhands/engine/quantize/base-file";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { readTokenizer } from "@manyhands/engine/tokenizer/node-tokenizer";
import {
  decodeSmallFiles,
  SMALL_FILES,
  type SmallFiles,
  stopIdsOf,
  tokenizerOf,
} from "@manyhands/engine/tokenizer/small-files";
import { byteTokenizer, type TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { type ReadRun, readBlob, readRun, readWeights } from "./read-run.ts";
import { findRunFolder, runPaths } from "./run-folder.ts";

const THREADS = 2;

export type Speaker = {
  readonly tokenizer: TextTokenizer;
  /** The tokens after which the model's makers stop. */
  readonly stopIds: readonly number[];
  readonly generate: (options: Omit<GenerateOptions, "weights">) => AsyncGenerator<number>;
  readonly dispose: () => Promise<void>;
};

/**
 * @param place a model's folder, or a run's folder or id
 * @throws InputError, ModelFileError, CommandError saying what is not there or not sound
 */
export async function openSpeaker(place: string, chatTemplate?: string): Promise<Speaker> {
  if (existsSync(join(place, "config.json"))) return folderSpeaker(place, chatTemplate);
  if (existsSync(join(place, "adapter_config.json"))) {
    throw new InputError(`${place} has an adapter without its base`, {
      hint: "name the run instead, or `manyhands merge` it with its base and sample that",
    });
  }
  const folder = findRunFolder(place);
  const run = readRun(folder);
  if (run.state.run.tuning?.method === "lora") return adapterSpeaker(run, chatTemplate);
  const { exportFolder } = runPaths(folder);
  if (existsSync(exportFolder)) return folderSpeaker(exportFolder, chatTemplate);
  throw new InputError(`the run in ${place} has no model yet`, {
    hint: "It is exported when the run ends; `manyhands export` writes the weights so far.",
  });
}

async function folderSpeaker(folder: string, chatTemplate?: string): Promise<Speaker> {
  const { config, weights } = await readExportFolder(folder);
  const tokenizer = await readTokenizer(folder, config.vocabSize, chatTemplate);
  const generator = await createGenerator({ runtime: ortNode, model: config, threads: THREADS });
  return {
    tokenizer,
    stopIds: stopIdsOf(await smallFilesIn(folder), tokenizer),
    generate: (options) => generator.generate({ ...options, weights }),
    dispose: () => generator.dispose(),
  };
}

async function smallFilesIn(folder: string): Promise<Readonly<Record<string, string>>> {
  const there = new Set(await readdir(folder));
  const files: Record<string, string> = {};
  for (const name of SMALL_FILES.filter((each) => /config\.json$/.test(each) && there.has(each))) {
    files[name] = await readFile(join(folder, name), "utf8");
  }
  return files;
}

async function adapterSpeaker(own: ReadRun, chatTemplate?: string): Promise<Speaker> {
  const { run } = own.state;
  const { tuning, model } = run;
  if (tuning?.method !== "lora") throw new InputError("this run trains no adapters");
  const { tokenizer, files } = wordsOf(own, run, chatTemplate);
  const base = decodeBase(readBlob(own.folder, tuning.base.root), model, platformSha256);
  const adapters = readWeights(own);
  const options = { runtime: ortNode, base, adapter: tuning.adapter, threads: THREADS };
  const generator = await TunedGenerator.create(options);
  return {
    tokenizer,
    stopIds: stopIdsOf(files, tokenizer),
    generate: (choices) => generator.generate({ ...choices, adapters }),
    dispose: () => generator.dispose(),
  };
}

function wordsOf(
  own: ReadRun,
  { tuning, tokenizer, model }: FrozenRun,
  chatTemplate?: string,
): Pick<SmallFiles, "files"> & { readonly tokenizer: TextTokenizer } {
  if (!tuning?.files) {
    if (tokenizer === "bytes") return { files: {}, tokenizer: byteTokenizer(chatTemplate) };
    throw new InputError("this run is older than the field that has its model's tokenizer", {
      hint: "`manyhands merge` its export/ with the base, and sample that folder",
    });
  }
  const small = decodeSmallFiles(readBlob(own.folder, tuning.files.root));
  const template = chatTemplate === undefined ? {} : { "chat_template.jinja": chatTemplate };
  const files = { ...small.files, ...template };
  return { files, tokenizer: tokenizerOf({ ...small, files }, model.vocabSize) };
}
