// The trained model that a run begins with: fetched, read, and for adapters packed into the base
// file that workers get. Its tokenizer says what the data's bytes become.
import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { concatBytes, toHex } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { blobRoot } from "@manyhands/base/hash";
import { checkAdapterConfig } from "@manyhands/engine/adapters/config";
import { readModelText } from "@manyhands/engine/checkpoint/model-files";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import type { ModelConfig } from "@manyhands/engine/model/config";
import { openBase, platformSha256 } from "@manyhands/engine/quantize/base-cache";
import { decodeBase, encodeBase } from "@manyhands/engine/quantize/base-file";
import type { BaseModel } from "@manyhands/engine/quantize/base-model";
import { readTokenizer } from "@manyhands/engine/tokenizer/node-tokenizer";
import { encodeSmallFiles, SMALL_FILES } from "@manyhands/engine/tokenizer/small-files";
import type { TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import { TOKENIZER_BYTES_MAX } from "@manyhands/engine/tokenizer/tokenizer-json";
import { type ResolvedModel, resolveModel } from "@manyhands/hub/resolve";
import type { Tuning } from "@manyhands/protocol/tuning";
import type { RunFile } from "./run-file.ts";

export type TunedModel = {
  /** Where its files lie, and what it is called: "org/name", or the folder's own name. */
  readonly folder: string;
  readonly name: string;
  readonly commit: string | null;
  readonly config: ModelConfig;
  readonly tokenizer: TextTokenizer;
  readonly tuning: Tuning;
  /** Its small files in one piece, which tuning.files names. */
  readonly smallFiles: Uint8Array;
  /** Adapters: the base, and its file's bytes. */
  readonly base?: { readonly model: BaseModel; readonly bytes: Uint8Array };
  /** All weights: the first ones. */
  readonly weights?: Float32Array;
};

/** Bases in their stored form are made once per machine. */
function baseCache(environment: NodeJS.ProcessEnv): string {
  return environment["MANYHANDS_CACHE"] ?? join(homedir(), ".manyhands", "bases");
}

/** From a model's name to its folder, which is fetched if it must be. */
export type FetchModel = (name: string) => Promise<ResolvedModel>;

/**
 * @param reference a folder, relative to the run file's, or hf:org/name[@revision]
 * @throws InputError, ModelFileError, HubError saying what cannot be used
 */
export async function openTunedModel(
  reference: string,
  file: Pick<RunFile, "method" | "lora">,
  from: { readonly folder: string; readonly fetchModel?: FetchModel | undefined },
): Promise<TunedModel> {
  const environment = process.env;
  const place = reference.startsWith("hf:") ? reference : resolve(from.folder, reference);
  const { fetchModel = (name) => resolveModel(name, { env: environment }) } = from;
  const found = await fetchModel(place);
  const files = await ModelFolder.open(found.folder);
  try {
    const { config } = files;
    const name = found.repo ?? basename(found.folder);
    const revision = found.commit ?? null;
    const tokenizer = await readTokenizer(found.folder, config.vocabSize);
    const contents = await readSmallFiles(found.folder);
    const smallFiles = encodeSmallFiles({ name, revision, files: contents });
    const own = { folder: found.folder, name, commit: revision, config, tokenizer, smallFiles };
    const named = blobOf(smallFiles);
    if (file.method === "full") {
      const weights = await files.readWeights();
      return { ...own, tuning: { method: "full", files: named }, weights };
    }
    const { tuning, base } = await adapted(files, file.lora, baseCache(environment));
    return { ...own, tuning: { ...tuning, files: named }, base };
  } finally {
    await files.close();
  }
}

/** What the run says of a blob. */
function blobOf(bytes: Uint8Array): { readonly byteLength: number; readonly root: string } {
  return { byteLength: bytes.length, root: toHex(blobRoot(bytes, platformSha256)) };
}

async function readSmallFiles(folder: string): Promise<Record<string, string>> {
  const there = new Set(await readdir(folder));
  const files: Record<string, string> = {};
  for (const name of SMALL_FILES) {
    if (!there.has(name)) continue;
    files[name] = await readModelText(join(folder, name), TOKENIZER_BYTES_MAX);
  }
  return files;
}

async function adapted(
  files: ModelFolder,
  lora: RunFile["lora"],
  cacheFolder: string,
): Promise<{
  readonly tuning: Extract<Tuning, { method: "lora" }>;
  readonly base: NonNullable<TunedModel["base"]>;
}> {
  if (!lora) throw new InputError("method lora needs a field lora, with r and loraAlpha");
  const { base: kind, ...adapter } = lora;
  checkAdapterConfig(files.config, adapter);
  const { base: packed } = await openBase(files, kind, { cacheFolder });
  const bytes = concatBytes(...encodeBase(packed, platformSha256));
  // Views of the file's bytes: the packed weights are here once.
  const model = decodeBase(bytes, files.config, platformSha256);
  const base = { kind, ...blobOf(bytes) };
  return { tuning: { method: "lora", adapter, base }, base: { model, bytes } };
}
