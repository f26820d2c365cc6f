// Blobs kept on disk by name, so that a restart, or another worker on this machine, need not fetch
// them again. What is read is verified: a damaged file is fetched anew.
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { toHex } from "@manyhands/base/bytes";
import { blobRoot, type Sha256 } from "@manyhands/base/hash";
import type { BlobKeeper, CachedUse } from "../host/api-port.ts";
import { replaceFile } from "./atomic-file.ts";
import { readIfThere } from "./disk-files.ts";

/** Old checkpoints are of no use; several runs may share a cache. */
const CHECKPOINTS_KEPT = 4;

let temporaries = 0;

export class BlobCache implements BlobKeeper {
  readonly #folder: string;
  readonly #hash: Sha256;

  constructor(folder: string, hash: Sha256) {
    this.#folder = folder;
    this.#hash = hash;
  }

  /** The blob if it is here and whole, else what `fetch` brings, which is then kept. */
  async get(
    wanted: { readonly root: string; readonly byteLength: number; readonly use: CachedUse },
    fetch: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const { root, byteLength, use } = wanted;
    const folder = join(this.#folder, use);
    const path = join(folder, root);
    const kept = await readIfThere(path);
    if (kept?.length === byteLength && toHex(blobRoot(kept, this.#hash)) === root) return kept;
    const bytes = await fetch();
    // Workers that share a cache may fetch the same blob at once, also within one process.
    temporaries += 1;
    await replaceFile(path, [bytes], {
      temporary: `${path}.${process.pid}-${temporaries}`,
      durable: false,
    }).catch(() => undefined);
    if (use === "checkpoint") await dropOldest(folder);
    return bytes;
  }
}

async function dropOldest(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const aged = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      // Another worker may have removed it meanwhile: then there is nothing left to do.
      const facts = await stat(path).catch(() => null);
      return { path, at: facts?.mtimeMs ?? 0 };
    }),
  );
  const old = aged.sort((a, b) => b.at - a.at).slice(CHECKPOINTS_KEPT);
  for (const { path } of old) await rm(path, { force: true });
}
