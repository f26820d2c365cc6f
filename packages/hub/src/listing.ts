// What a repository holds at a revision: its commit, and each file with its size and hash.
// A server may be anybody's: nothing that it says becomes a path before it is checked.
import { integer, object, oneOf, text } from "@manyhands/base/decode";
import { ask, type Client, jsonOf, retried, strange } from "./http.ts";

/** A file of a repository. */
export type RemoteFile = {
  readonly name: string;
  readonly size: number;
  /** What its blob is called: the SHA-256 of large files, git's SHA-1 of small ones. */
  readonly etag: string;
};

export type Listing = { readonly commit: string; readonly files: readonly RemoteFile[] };

const ANSWER_BYTES_MAX = 64 << 20;
const PAGES_MAX = 200;
const COMMIT = /^[0-9a-f]{40}$/;
const SHA1 = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;
/** A plain file name: it leads nowhere else. Files in folders are no part of a model. */
const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}$/;

export function isCommit(text: string): boolean {
  return COMMIT.test(text);
}

/** The commit that a branch, tag or commit is now. @throws HubError */
export async function commitOf(client: Client, repo: string, revision: string): Promise<string> {
  const path = `/api/models/${repo}/revision/${encodeURIComponent(revision)}`;
  const info = await fetchJson(client, path, `${repo}@${revision}`);
  const sha: unknown = isObject(info.value) ? info.value["sha"] : undefined;
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw strange("no commit of the repository");
}

/** The files in the repository's top folder. @throws HubError */
export async function listFiles(client: Client, repo: string, commit: string): Promise<Listing> {
  const files: RemoteFile[] = [];
  let path: string | undefined = `/api/models/${repo}/tree/${commit}?recursive=false&expand=false`;
  for (let page = 0; path !== undefined; page++) {
    if (page === PAGES_MAX) throw strange("an endless list of files");
    const answer = await fetchJson(client, path, repo);
    if (!Array.isArray(answer.value)) throw strange("no list of files");
    for (const entry of answer.value) {
      const file = fileIn(entry);
      if (file) files.push(file);
    }
    path = answer.next;
  }
  return { commit, files };
}

type Fetched = { readonly value: unknown; readonly next: string | undefined };

async function fetchJson(client: Client, path: string, what: string): Promise<Fetched> {
  return retried(client, what, async () => {
    const answer = await ask(client, { path, what });
    const next = nextPage(answer.response.headers.get("link"));
    return { value: await jsonOf(client, answer, ANSWER_BYTES_MAX), next };
  });
}

/** The address in a header like `<https://…?cursor=…>; rel="next"`. */
function nextPage(link: string | null): string | undefined {
  return link
    ?.split(",")
    .find((part) => /;\s*rel="?next"?/.test(part))
    ?.match(/<([^>]+)>/)?.[1];
}

const fileDecoder = object({ type: oneOf("file"), path: text(4_096), size: integer(0) });
const lfsDecoder = object({ oid: text(100), size: integer(0) });

/** One entry of the list; nothing for folders and for names that are no plain file's. */
function fileIn(entry: unknown): RemoteFile | undefined {
  if (!isObject(entry) || entry["type"] !== "file") return undefined;
  const { type, path, size, oid, lfs } = entry;
  const file = fileDecoder({ type, path, size });
  if (!file.ok) throw strange("a file without a path or a size");
  const { path: name } = file.value;
  if (!FILE_NAME.test(name) || name.includes("..")) return undefined;
  if (lfs === undefined || lfs === null) {
    if (typeof oid !== "string" || !SHA1.test(oid)) throw strange(`no hash of ${name}`);
    return { name, size: file.value.size, etag: oid };
  }
  const fields = isObject(lfs) ? lfs : {};
  const large = lfsDecoder({ oid: fields["oid"], size: fields["size"] });
  if (!large.ok || !SHA256.test(large.value.oid)) throw strange(`no hash of ${name}`);
  return { name, size: large.value.size, etag: large.value.oid };
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
