// The trained model that a run begins with: fetched, read, and for adapters packed into the base
// file that workers get. Its tokenizer says what the data's bytes become.
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { concatBytes, toHex } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { blobRoot } from "@manyhands/base/hash";
import { checkAdapterConfig } from "@manyhands/engine/adapters/config";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import type { DataFile } from "@manyhands/engine/data/node-files";
import type { ModelConfig } from "@manyhands/engine/model/config";
import { openBase, platformSha256 } from "@manyhands/engine/quantize/base-cache";
import { decodeBase, encodeBase } from "@manyhands/engine/quantize/base-file";
import type { BaseModel } from "@manyhands/engine/quantize/base-model";
import { readTokenizer } from "@manyhands/engine/tokenizer/node-tokenizer";
import type { TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import { resolveModel } from "@manyhands/hub/resolve";
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
  /** Adapters: the base, and its file's bytes. */
  readonly base?: { readonly model: BaseModel; readonly bytes: Uint8Array };
  /** All weights: the first ones. */
  readonly weights?: Float32Array;
};

/** Bases in their stored form are made once per machine. */
function baseCache(environment: NodeJS.ProcessEnv): string {
  return environment["MANYHANDS_CACHE"] ?? join(homedir(), ".manyhands", "bases");
}

/**
 * @param reference a folder, relative to the run file's, or hf:org/name[@revision]
 * @throws InputError, ModelFileError, HubError saying what cannot be used
 */
export async function openTunedModel(
  reference: string,
  file: Pick<RunFile, "method" | "lora">,
  folder: string,
): Promise<TunedModel> {
  const environment = process.env;
  const place = reference.startsWith("hf:") ? reference : resolve(folder, reference);
  const found = await resolveModel(place, { env: environment });
  const files = await ModelFolder.open(found.folder);
  try {
    const { config } = files;
    const own = {
      folder: found.folder,
      name: found.repo ?? reference,
      commit: found.commit ?? null,
      config,
      tokenizer: await readTokenizer(found.folder, config.vocabSize),
    };
    if (file.method === "full") {
      return { ...own, tuning: { method: "full" }, weights: await files.readWeights() };
    }
    return { ...own, ...(await adapted(files, file.lora, baseCache(environment))) };
  } finally {
    await files.close();
  }
}

async function adapted(
  files: ModelFolder,
  lora: RunFile["lora"],
  cacheFolder: string,
): Promise<Pick<TunedModel, "tuning" | "base">> {
  if (!lora) throw new InputError("method lora needs a field lora, with r and loraAlpha");
  const { base: kind, ...adapter } = lora;
  checkAdapterConfig(files.config, adapter);
  const { base: packed } = await openBase(files, kind, { cacheFolder });
  const bytes = concatBytes(...encodeBase(packed, platformSha256));
  // Views of the file's bytes: the packed weights are here once.
  const model = decodeBase(bytes, files.config, platformSha256);
  const root = toHex(blobRoot(bytes, platformSha256));
  const base = { kind, byteLength: bytes.length, root };
  return { tuning: { method: "lora", adapter, base }, base: { model, bytes } };
}

/** The data as the run's tokens: bytes as they are, or texts as ids of 32 bits, little-endian. */
export function tokenFiles(
  tokenizer: TextTokenizer,
  data: readonly DataFile[],
): readonly DataFile[] {
  if (tokenizer.kind === "bytes") return data;
  return data.map((file) => {
    const text = new TextDecoder().decode(file.bytes);
    const ids = Int32Array.from(tokenizer.encode(text, { wrap: true }));
    const bytes = new Uint8Array(ids.buffer);
    const root = toHex(blobRoot(bytes, platformSha256));
    return { ...file, bytes, byteLength: bytes.length, root };
  });
}
