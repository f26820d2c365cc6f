// One file of a repository into its blob: continued where an earlier try ended, by whichever
// process, checked against its hash, and only then given its name.
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { diskError, HubError } from "./errors.ts";
import { type Answer, ask, type Client, drop, PassingFault, piecesOf, retried } from "./http.ts";
import type { RemoteFile } from "./listing.ts";
import { lockFile } from "./lock.ts";
import { uniquePath } from "./unique.ts";

export type Download = {
  readonly client: Client;
  readonly repo: string;
  readonly commit: string;
  readonly file: RemoteFile;
  /** Where the blob is to be. */
  readonly path: string;
  /** Told after every piece: bytes that lie on the disk now, and whether some lay there before. */
  readonly onBytes: (bytes: number, resumed: boolean) => void;
};

const SHA256_CHARS = 64;

/**
 * Fetches one file. A killed process leaves `<blob>.manyhands.incomplete`, from which the next one
 * goes on. The blob appears whole and checked, or not at all.
 *
 * @throws HubError
 */
export async function downloadBlob(download: Download): Promise<void> {
  const { client, file, path } = download;
  const lock = await lockFile(`${path}.manyhands.lock`);
  // While another process fetches the same file, this one fetches its own copy: at worst a waste.
  const partial = lock ? `${path}.manyhands.incomplete` : uniquePath(path, "incomplete");
  try {
    await checkSpace(path, file.size);
    await retried(client, `${download.repo}: ${file.name}`, async (progressed) => {
      await continueDownload(download, partial, progressed);
    });
    await finish(partial, path);
  } catch (caught) {
    if (!lock)
      await Promise.all([partial, `${partial}.tag`].map((own) => rm(own, { force: true })));
    throw caught;
  } finally {
    await lock?.release();
  }
}

/** @throws HubError if the disk has less room than the file needs */
async function checkSpace(path: string, size: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path));
  if (bavail * bsize >= size) return;
  throw new HubError("hub/disk", `${path} needs ${size} bytes, ${bavail * bsize} are free`, {
    hint: "free some space, or set HF_HOME to a folder on another disk",
  });
}

/** One try: what is there already is hashed, the rest is fetched, and the whole is checked. */
async function continueDownload(
  download: Download,
  partial: string,
  progressed: () => void,
): Promise<void> {
  const { file } = download;
  const handle = await opened(partial);
  try {
    let { size: have } = await handle.stat();
    if (have > file.size) {
      await handle.truncate(0);
      have = 0;
    }
    const resumed = have > 0;
    let hash = await hashOf(file, partial, have);
    if (have < file.size || file.size === 0) {
      const answer = await askFrom(download, partial, have);
      if (have > 0 && answer.response.status !== 206) {
        // The server sends all of it: the file changed there, or it knows no ranges.
        await handle.truncate(0);
        have = 0;
        hash = startHash(file);
      }
      const sink = { handle, partial, hash, have, resumed };
      await receive(download, sink, { answer, progressed });
    }
    if (hash.digest("hex") !== file.etag) await refuse(download, partial);
    await handle.sync();
  } catch (caught) {
    throw caught instanceof HubError || caught instanceof PassingFault
      ? caught
      : asFault(download, partial, caught);
  } finally {
    await handle.close();
  }
}

function asFault({ client }: Download, partial: string, caught: unknown): unknown {
  return client.signal?.aborted ? client.signal.reason : diskError(partial, caught);
}

async function opened(partial: string): Promise<FileHandle> {
  try {
    return await open(partial, "a+");
  } catch (cause) {
    throw diskError(partial, cause);
  }
}

/** git hashes "blob <size>\0" before a file's bytes; large files have a plain SHA-256. */
function startHash(file: RemoteFile): Hash {
  if (file.etag.length === SHA256_CHARS) return createHash("sha256");
  return createHash("sha1").update(`blob ${file.size}\0`);
}

async function hashOf(file: RemoteFile, path: string, bytes: number): Promise<Hash> {
  const hash = startHash(file);
  if (bytes === 0) return hash;
  for await (const piece of createReadStream(path, { end: bytes - 1 })) hash.update(piece);
  return hash;
}

/** Asks for the file from a byte on, if the store's version is still that of the first bytes. */
async function askFrom(download: Download, partial: string, have: number): Promise<Answer> {
  const { client, repo, commit, file } = download;
  const version = have > 0 ? await storedVersion(partial) : undefined;
  const range = { range: `bytes=${have}-`, ...(version ? { "if-range": version } : {}) };
  const answer = await ask(client, {
    path: `/${repo}/resolve/${commit}/${encodeURIComponent(file.name)}`,
    headers: have > 0 ? range : {},
    what: `${repo}: ${file.name}`,
    accepts: [416],
  });
  const { status, headers } = answer.response;
  const misplaced = status === 206 && !headers.get("content-range")?.startsWith(`bytes ${have}-`);
  if (status === 416 || misplaced) {
    await drop(answer);
    await rm(partial, { force: true });
    throw new PassingFault(`${file.name}: the server cannot continue; it starts over`);
  }
  await checkVersion(download, answer);
  await storeVersion(partial, headers.get("etag"));
  return answer;
}

/** What the Hub says of the file must still be what its list said. */
async function checkVersion({ repo, file }: Download, answer: Answer): Promise<void> {
  const { first, response } = answer;
  const etag = plainTag(
    first.get("x-linked-etag") ?? (first === response.headers ? first.get("etag") : null),
  );
  if (etag === undefined || !/^[0-9a-f]{40,64}$/.test(etag) || etag === file.etag) return;
  await drop(answer);
  throw new HubError("hub/corrupt", `${repo}: ${file.name} is another file than the list said`, {
    hint: "try again: the repository may have changed; else check HF_ENDPOINT",
  });
}

/** W/"abc" and "abc" → abc */
function plainTag(etag: string | null): string | undefined {
  return etag?.replace(/^W\//, "").replace(/^"|"$/g, "");
}

/** The store's own tag of what the first bytes are of; only strong tags may ask for a range. */
async function storedVersion(partial: string): Promise<string | undefined> {
  try {
    return await readFile(`${partial}.tag`, "utf8");
  } catch {
    // Killed before it was written, or the store has none: the hash decides at the end.
    return undefined;
  }
}

async function storeVersion(partial: string, etag: string | null): Promise<void> {
  if (etag === null || !/^"[\x21\x23-\x7e]*"$/.test(etag)) return;
  try {
    await writeFile(`${partial}.tag`, etag);
  } catch (cause) {
    throw diskError(partial, cause);
  }
}

type Sink = {
  readonly handle: FileHandle;
  readonly partial: string;
  readonly hash: Hash;
  have: number;
  readonly resumed: boolean;
};

async function receive(
  download: Download,
  sink: Sink,
  from: { readonly answer: Answer; readonly progressed: () => void },
): Promise<void> {
  const { client, file, onBytes } = download;
  for await (const piece of piecesOf(client, from.answer)) {
    if (sink.have + piece.length > file.size) await refuse(download, sink.partial);
    await write(sink, piece);
    sink.hash.update(piece);
    sink.have += piece.length;
    from.progressed();
    onBytes(sink.have, sink.resumed);
  }
  if (sink.have < file.size) {
    throw new PassingFault(`${file.name} ended after ${sink.have} of ${file.size} bytes`);
  }
}

async function write({ handle, partial }: Sink, piece: Uint8Array): Promise<void> {
  try {
    await handle.appendFile(piece);
  } catch (cause) {
    throw diskError(partial, cause);
  }
}

/** Bytes that are not the file's are thrown away, so that the next try starts over. */
async function refuse({ repo, file }: Download, partial: string): Promise<never> {
  await rm(partial, { force: true });
  await rm(`${partial}.tag`, { force: true });
  throw new HubError("hub/corrupt", `${repo}: ${file.name} arrived with another hash or size`, {
    hint: "try again; if it happens twice, something between here and the Hub changes files",
  });
}

async function finish(partial: string, path: string): Promise<void> {
  try {
    await rename(partial, path);
    await rm(`${partial}.tag`, { force: true });
    const folder = await open(dirname(path), "r");
    await folder.sync().finally(() => folder.close());
  } catch (cause) {
    throw diskError(path, cause);
  }
}
