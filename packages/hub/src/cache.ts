// The cache on disk, as huggingface_hub lays it out, so that both read what either fetched:
//   models--org--name/blobs/<hash> · snapshots/<commit>/<file> → ../../blobs/<hash> · refs/<name>
// It deliberately fetches nothing.
import { constants } from "node:fs";
import {
  access,
  copyFile,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { diskError, systemCode } from "./errors.ts";
import { isCommit } from "./listing.ts";
import { uniquePath } from "./unique.ts";

const TAG = "CACHEDIR.TAG";
const TAG_TEXT = `Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of models from the Hugging Face Hub.
`;

/** One repository's part of the cache. */
export class RepoCache {
  readonly #root: string;
  readonly #folder: string;

  constructor(root: string, repo: string) {
    this.#root = root;
    this.#folder = join(root, ["models", ...repo.split("/")].join("--"));
  }

  snapshot(commit: string): string {
    return join(this.#folder, "snapshots", commit);
  }

  blob(etag: string): string {
    return join(this.#folder, "blobs", etag);
  }

  /** The commit that a revision was when it was last fetched whole. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    try {
      const text = (await readFile(this.#ref(revision), "utf8")).trim();
      return isCommit(text) ? text : undefined;
    } catch {
      // Never fetched, or by somebody who left no ref.
      return undefined;
    }
  }

  /** Whether a file is in a snapshot, with this size if one is given. */
  async has(commit: string, name: string, size?: number): Promise<boolean> {
    return hasSize(join(this.snapshot(commit), name), size);
  }

  async hasBlob(etag: string, size: number): Promise<boolean> {
    return hasSize(this.blob(etag), size);
  }

  /** Makes the folders. @throws HubError if the disk refuses */
  async prepare(commit: string): Promise<void> {
    try {
      await mkdir(join(this.#folder, "blobs"), { recursive: true });
      await mkdir(this.snapshot(commit), { recursive: true });
      await writeIfMissing(join(this.#root, TAG), TAG_TEXT);
    } catch (cause) {
      throw diskError(this.#folder, cause);
    }
  }

  /** Gives a blob its name in a snapshot. @throws HubError if the disk refuses */
  async link(commit: string, name: string, etag: string): Promise<void> {
    const path = join(this.snapshot(commit), name);
    const fresh = uniquePath(path, "new");
    try {
      await rm(fresh, { force: true });
      await symlink(join("..", "..", "blobs", etag), fresh).catch(async (cause: unknown) => {
        // Windows lets only some people make links: they get a copy, as from huggingface_hub.
        if (systemCode(cause) !== "EPERM") throw cause;
        await copyFile(this.blob(etag), fresh, constants.COPYFILE_FICLONE);
      });
      await rename(fresh, path);
    } catch (cause) {
      await rm(fresh, { force: true });
      throw diskError(path, cause);
    }
  }

  /** Remembers what a branch or tag is now. Last of all: it says that the snapshot is whole. */
  async remember(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    const path = this.#ref(revision);
    const fresh = uniquePath(path, "tmp");
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(fresh, "w");
      try {
        await file.writeFile(commit);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(fresh, path);
    } catch (cause) {
      await rm(fresh, { force: true });
      throw diskError(path, cause);
    }
  }

  #ref(revision: string): string {
    return join(this.#folder, "refs", ...revision.split("/"));
  }
}

async function hasSize(path: string, size: number | undefined): Promise<boolean> {
  try {
    const found = await stat(path);
    return found.isFile() && (size === undefined || found.size === size);
  } catch {
    // Not there, or a link to a blob that is not there.
    return false;
  }
}

async function writeIfMissing(path: string, text: string): Promise<void> {
  try {
    await access(path);
  } catch {
    const file = await open(path, "w");
    await file.writeFile(text);
    await file.close();
  }
}
