// Packed bases on disk, so that a model is packed once: Node's side of base-file.ts.
// It deliberately never deletes but what is damaged.
import { createHash } from "node:crypto";
import { mkdir, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { compareText } from "@manyhands/base/bytes";
import { canonicalHash, type Json } from "@manyhands/base/canonical";
import { InputError } from "@manyhands/base/errors";
import type { Sha256 } from "@manyhands/base/hash";
import type { ModelFolder } from "../checkpoint/model-folder.ts";
import { decodeBase, encodeBase } from "./base-file.ts";
import { type BaseModel, type QuantizeOptions, quantizeBase } from "./base-model.ts";
import type { BaseKind } from "./kinds.ts";

export type OpenedBase = {
  readonly base: BaseModel;
  readonly fromCache: boolean;
  /** The file of its stored form; none for f32, which would only be a copy of the model's. */
  readonly path: string | undefined;
};

/** Changes when packing would give other bytes for the same model. */
const PACKING_VERSION = 1;
/** Calls of the system take less than 2 GiB at once. */
const CHUNK_BYTES = 1 << 28;

/**
 * The folder's model packed as a kind: from the cache if it is there and whole, else packed now and
 * put there. A model whose files have changed is another one.
 *
 * @throws ModelFileError if the model's files cannot be read, and what the disk throws
 */
export async function openBase(
  model: ModelFolder,
  kind: BaseKind,
  options: QuantizeOptions & { readonly cacheFolder: string },
): Promise<OpenedBase> {
  if (kind === "f32") {
    return { base: await quantizeBase(model, kind, options), fromCache: false, path: undefined };
  }
  const path = join(options.cacheFolder, `${await keyOf(model, kind)}.mhbase`);
  const cached = await readBase(path, model);
  if (cached) return { base: cached, fromCache: true, path };
  const base = await quantizeBase(model, kind, options);
  await writeBase(path, base);
  return { base, fromCache: false, path };
}

/** What the packed bytes depend on: config, kind, and the model's files by place, size and time. */
async function keyOf(model: ModelFolder, kind: BaseKind): Promise<string> {
  const names = (await readdir(model.folder)).filter((name) => name.endsWith(".safetensors"));
  const files = await Promise.all(
    names.sort(compareText).map(async (name) => {
      const path = await realpath(join(model.folder, name));
      const { size, mtimeMs } = await stat(path);
      return { path, size, time: mtimeMs };
    }),
  );
  const config = model.config as unknown as Json;
  return canonicalHash({ version: PACKING_VERSION, kind, config, files });
}

async function readBase(path: string, model: ModelFolder): Promise<BaseModel | undefined> {
  const bytes = await readBytes(path);
  if (!bytes) return undefined;
  try {
    return decodeBase(bytes, model.config, platformSha256);
  } catch (caught) {
    if (!(caught instanceof InputError)) throw caught;
    await rm(path, { force: true });
    return undefined;
  }
}

async function readBytes(path: string): Promise<Uint8Array | undefined> {
  const file = await open(path, "r").catch((caught: NodeJS.ErrnoException) => {
    if (caught.code === "ENOENT") return undefined;
    throw caught;
  });
  if (!file) return undefined;
  try {
    const bytes = new Uint8Array((await file.stat()).size);
    for (let at = 0; at < bytes.length; ) {
      const length = Math.min(CHUNK_BYTES, bytes.length - at);
      const { bytesRead } = await file.read(bytes, at, length, at);
      if (bytesRead === 0) return undefined;
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Beside its place first, so that a half-written file is never found there. */
async function writeBase(path: string, base: BaseModel): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  const half = `${path}.${process.pid}.part`;
  const file = await open(half, "w");
  try {
    for (const part of encodeBase(base, platformSha256)) {
      for (let at = 0; at < part.length; at += CHUNK_BYTES) {
        await file.write(part, at, Math.min(CHUNK_BYTES, part.length - at));
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(half, path);
}

/** SHA-256 by the platform, in pieces. */
export const platformSha256: Sha256 = (bytes) => {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    hash.update(bytes.subarray(at, at + CHUNK_BYTES));
  }
  return new Uint8Array(hash.digest());
};
