// From what a person wrote to a folder with the model: a folder as it is, a repository from the
// cache, and what is missing from the Hub.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { RepoCache } from "./cache.ts";
import { downloadBlob } from "./download.ts";
import { HubError } from "./errors.ts";
import type { Client } from "./http.ts";
import { commitOf, isCommit, type Listing, listFiles, type RemoteFile } from "./listing.ts";
import { parseModelReference } from "./reference.ts";
import { type Environment, hubSettings } from "./settings.ts";

/** How far a download is. */
export type HubProgress = {
  readonly file: string;
  readonly fileBytes: number;
  readonly fileTotal: number;
  /** Of all files that this call fetches. */
  readonly bytes: number;
  readonly total: number;
  /** Files that are done, and how many there are. */
  readonly files: number;
  readonly fileCount: number;
  /** Whether the file goes on where an earlier call ended. */
  readonly resumed: boolean;
};

export type ResolveOptions = {
  /** Default: the process's. */
  readonly env?: Environment;
  readonly onProgress?: (progress: HubProgress) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds before each further try. Default: 1, 2, 4, 8 and 16 seconds. */
  readonly retryDelays?: readonly number[];
  /** Milliseconds without a byte after which a connection counts as cut. Default 30 000. */
  readonly stallMs?: number;
};

export type ResolvedModel = {
  /** Has config.json, safetensors files, and the tokenizer's files. */
  readonly folder: string;
  readonly repo?: string;
  readonly commit?: string;
  /** Whether nothing had to be fetched. */
  readonly fromCache: boolean;
};

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const RETRY_DELAYS = [1_000, 2_000, 4_000, 8_000, 16_000];
const STALL_MS = 30_000;
const KNOWN_STALL_MS = 10_000;
/** What else of a model is read or kept beside it: tokenizer, templates, licence, card. */
const BESIDE =
  /^(README\.md|LICENSE(\.\w+)?|NOTICE(\.\w+)?|.*\.(json|jinja)|tokenizer\.model|merges\.txt)$/i;
const BESIDE_BYTES_MAX = 256 << 20;
const PICKLE = /\.(bin|pt|pth|ckpt|pkl)$/i;
const SHARD = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors$/;

/**
 * The folder of `hf:<org>/<name>[@revision]`, or of a path.
 *
 * @throws InputError for a name that cannot be one
 * @throws HubError   for all else; what was fetched is kept, and the next call goes on from there
 */
export async function resolveModel(
  text: string,
  options: ResolveOptions = {},
): Promise<ResolvedModel> {
  const reference = parseModelReference(text);
  if (reference.kind === "folder") return { folder: reference.path, fromCache: true };
  const settings = hubSettings(options.env ?? process.env);
  const { repo, revision } = reference;
  const cache = new RepoCache(settings.cache, repo);
  const known = await cachedModel(cache, repo, revision);
  if (known && isCommit(revision)) return known;
  if (settings.offline) {
    if (known) return known;
    throw new HubError("hub/offline", `${repo}@${revision} is not whole in ${settings.cache}`, {
      hint: "unset HF_HUB_OFFLINE once to fetch it",
    });
  }
  const { signal, retryDelays = RETRY_DELAYS, stallMs = STALL_MS } = options;
  // Who has the model waits for no server: one short try, then the cache.
  const patience = known ? Math.min(stallMs, KNOWN_STALL_MS) : stallMs;
  const client = { settings, signal, retryDelays: known ? [] : retryDelays, stallMs: patience };
  try {
    const commit = isCommit(revision) ? revision : await commitOf(client, repo, revision);
    const listing = await listFiles(client, repo, commit);
    const work = { client: { ...client, retryDelays, stallMs }, cache, repo, listing };
    const fetched = await fetchModel(work, options.onProgress);
    await cache.remember(revision, commit);
    return { folder: cache.snapshot(commit), repo, commit, fromCache: !fetched };
  } catch (caught) {
    if (known && caught instanceof HubError && caught.code === "hub/network") return known;
    throw caught;
  }
}

/** The model as the cache has it, if nothing of it is missing. */
async function cachedModel(
  cache: RepoCache,
  repo: string,
  revision: string,
): Promise<ResolvedModel | undefined> {
  const commit = await cache.commitOf(revision);
  if (commit === undefined || !(await cache.has(commit, CONFIG))) return undefined;
  const shards = await shardNames(join(cache.snapshot(commit), INDEX));
  for (const name of shards ?? [WEIGHTS]) {
    if (!(await cache.has(commit, name))) return undefined;
  }
  return { folder: cache.snapshot(commit), repo, commit, fromCache: true };
}

type Work = {
  readonly client: Client;
  readonly cache: RepoCache;
  readonly repo: string;
  readonly listing: Listing;
};

/** Fetches what is missing: small files first, since they say which weights there are. */
async function fetchModel(work: Work, onProgress: ResolveOptions["onProgress"]): Promise<boolean> {
  const { cache, repo, listing } = work;
  const byName = new Map(listing.files.map((file) => [file.name, file]));
  if (!byName.has(CONFIG)) throw lacking(repo, CONFIG);
  const sharded = byName.has(INDEX);
  if (!sharded && !byName.has(WEIGHTS)) throw noWeights(repo, listing);
  await cache.prepare(listing.commit);
  const small = listing.files.filter(({ name, size }) => {
    return BESIDE.test(name) && size <= BESIDE_BYTES_MAX;
  });
  let fetched = await fetchFiles(work, small, onProgress);
  const index = join(cache.snapshot(listing.commit), INDEX);
  const names = sharded ? ((await shardNames(index)) ?? []) : [WEIGHTS];
  const weights = names.map((name) => {
    const file = byName.get(name);
    if (!file) throw lacking(repo, name);
    return file;
  });
  if (weights.length === 0) throw lacking(repo, "a shard in its index");
  fetched = (await fetchFiles(work, weights, onProgress)) || fetched;
  return fetched;
}

function lacking(repo: string, name: string): HubError {
  return new HubError("hub/no-file", `${repo} has no ${name}`, {
    hint: "name a repository with a model for transformers: config.json and safetensors files",
  });
}

function noWeights(repo: string, { files }: Listing): HubError {
  const pickle = files.find(({ name }) => PICKLE.test(name));
  if (!pickle) return lacking(repo, WEIGHTS);
  return new HubError("hub/pickle", `${repo} has its weights only as ${pickle.name}`, {
    hint: "such files can run programs, so they are not read; look for a safetensors version",
  });
}

/** The shards that an index names; nothing if there is no index, or none that can be read. */
async function shardNames(path: string): Promise<readonly string[] | undefined> {
  try {
    const index: unknown = JSON.parse(await readFile(path, "utf8"));
    const map: unknown = Reflect.get(Object(index), "weight_map");
    const names = [...new Set(Object.values(Object(map)))];
    return names.filter((name): name is string => typeof name === "string" && SHARD.test(name));
  } catch {
    // No index: the weights are one file. A broken one is refused where the model is read.
    return undefined;
  }
}

/** @returns whether anything had to be fetched */
async function fetchFiles(
  work: Work,
  files: readonly RemoteFile[],
  onProgress: ResolveOptions["onProgress"],
): Promise<boolean> {
  const { cache, repo, client } = work;
  const { commit } = work.listing;
  const missing: RemoteFile[] = [];
  for (const file of files) {
    if (await cache.has(commit, file.name, file.size)) continue;
    if (!(await cache.hasBlob(file.etag, file.size))) missing.push(file);
    else await cache.link(commit, file.name, file.etag);
  }
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  for (const [index, file] of missing.entries()) {
    const tell = (fileBytes: number, resumed: boolean): void =>
      onProgress?.({
        ...{ file: file.name, fileBytes, fileTotal: file.size, resumed },
        ...{ bytes: done + fileBytes, total, files: index, fileCount: missing.length },
      });
    const path = cache.blob(file.etag);
    // Two names of one file are one blob.
    if (!(await cache.hasBlob(file.etag, file.size))) {
      await downloadBlob({ client, repo, commit, file, path, onBytes: tell });
    }
    await cache.link(commit, file.name, file.etag);
    done += file.size;
  }
  return missing.length > 0;
}
