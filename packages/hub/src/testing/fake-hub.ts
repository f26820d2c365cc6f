// A local server that answers like the Hugging Face Hub: its API, its redirects to a store on
// another host, its headers and its refusals; and that misbehaves when told to. For tests only.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type FakeFile = {
  readonly bytes: Uint8Array;
  readonly large: boolean;
  /** The size that the list claims, if that is another. */
  readonly claimedSize?: number;
};

export type FakeRepo = {
  readonly commit: string;
  /** Branches and tags that point to the commit. */
  readonly revisions: readonly string[];
  readonly files: ReadonlyMap<string, FakeFile>;
  /** Only this token may read it. */
  readonly token?: string;
  /** Readable only by who accepted the conditions: nobody here. */
  readonly gated?: boolean;
};

/** What the store does wrong with its next answers, one each; then it behaves. */
export type Fault =
  | { readonly kind: "cut"; readonly after: number }
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "wrong bytes" }
  | { readonly kind: "no ranges" }
  | { readonly kind: "other version" };

export type Seen = {
  readonly host: "hub" | "store";
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
};

export class FakeHub {
  readonly repos = new Map<string, FakeRepo>();
  readonly faults: Fault[] = [];
  readonly seen: Seen[] = [];
  /** Bytes of files that were sent. */
  sent = 0;
  /** Entries of a page of the list. */
  pageSize = 100;
  /** So often a question to the Hub is first sent elsewhere, which is here. */
  redirects = 0;
  /** Called with the bytes that an answer has sent; a promise holds the next piece back. */
  onPiece: ((sent: number) => Promise<void> | void) | undefined;
  readonly #hub: Server;
  readonly #store: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#serve("hub", request, response));
    this.#store = createServer((request, response) => this.#serve("store", request, response));
  }

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    for (const server of [hub.#hub, hub.#store]) {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.listen(0, "127.0.0.1", resolve);
      await promise;
    }
    return hub;
  }

  get endpoint(): string {
    return address(this.#hub);
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #serve(host: Seen["host"], request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://fake");
    const { authorization, range, "if-range": ifRange } = request.headers;
    const method = request.method ?? "GET";
    const tag = Array.isArray(ifRange) ? ifRange[0] : ifRange;
    this.seen.push({ host, method, url: url.pathname, authorization, range, ifRange: tag });
    const answered = host === "hub" ? this.#hubAnswer(url, request, response) : undefined;
    if (answered === undefined) void this.#storeAnswer(url, request, response);
  }

  /** The API and /resolve/; true if it has answered. */
  #hubAnswer(url: URL, request: IncomingMessage, response: ServerResponse): true | undefined {
    if (this.redirects > 0) {
      this.redirects -= 1;
      response.writeHead(307, { location: url.pathname + url.search }).end();
      return true;
    }
    const path = decodeURIComponent(url.pathname);
    const api = /^\/api\/models\/(.+?)\/(revision|tree)\/(.+)$/.exec(path);
    const file = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const plain = /^\/api\/models\/([^/]+\/[^/]+)$/.exec(path);
    const name = api?.[1] ?? file?.[1] ?? plain?.[1] ?? "";
    const repo = this.repos.get(name);
    const token = request.headers.authorization?.replace("Bearer ", "");
    if (!repo || (repo.token !== undefined && token !== repo.token)) {
      const status = token === undefined ? 401 : 404;
      return refuse(response, status, status === 401 ? "" : "RepoNotFound");
    }
    const revision = api?.[3] ?? file?.[2] ?? "main";
    if (revision !== repo.commit && !repo.revisions.includes(revision)) {
      return refuse(response, 404, "RevisionNotFound");
    }
    if (api?.[2] === "tree") return this.#tree(url, repo, response);
    if (repo.gated && file) return refuse(response, 403, "GatedRepo");
    if (!file) return json(response, infoOf(name, repo));
    return this.#resolve(repo, file[3] ?? "", { request, response, name });
  }

  #tree(url: URL, repo: FakeRepo, response: ServerResponse): true {
    const start = Number(url.searchParams.get("cursor") ?? 0);
    const all = [...repo.files].map(([path, file]) => entryOf(path, file));
    const end = start + this.pageSize;
    if (end < all.length) {
      url.searchParams.set("cursor", String(end));
      response.setHeader("link", `<${this.endpoint}${url.pathname}${url.search}>; rel="next"`);
    }
    return json(response, all.slice(start, end));
  }

  #resolve(
    repo: FakeRepo,
    path: string,
    to: { request: IncomingMessage; response: ServerResponse; name: string },
  ): true | undefined {
    const { request, response, name } = to;
    const file = repo.files.get(path);
    response.setHeader("x-repo-commit", repo.commit);
    if (!file) return refuse(response, 404, "EntryNotFound");
    if (!file.large) {
      response.setHeader("etag", `"${etagOf(file)}"`);
      void this.#send(file, request, response);
      return true;
    }
    response.writeHead(302, {
      "x-linked-etag": `"${etagOf(file)}"`,
      "x-linked-size": String(file.bytes.length),
      location: `${address(this.#store)}/${name}/${path}?signature=secret`,
    });
    response.end();
    return true;
  }

  async #storeAnswer(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [org = "", name = "", path = ""] = url.pathname.slice(1).split("/");
    const file = this.repos.get(`${org}/${name}`)?.files.get(path);
    if (!file) return void refuse(response, 403, "");
    response.setHeader("etag", `"store-${etagOf(file).slice(0, 8)}"`);
    await this.#send(file, request, response);
  }

  /** A file or a range of it, with the next fault. */
  async #send(file: FakeFile, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const head = request.method === "HEAD";
    const fault = head || !file.large ? undefined : this.faults.shift();
    if (fault?.kind === "status") return void response.writeHead(fault.status).end();
    if (fault?.kind === "other version") response.setHeader("etag", '"another"');
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
    const ifRange = request.headers["if-range"];
    const same = ifRange === undefined || ifRange === response.getHeader("etag");
    const start = range && same && fault?.kind !== "no ranges" ? Number(range[1]) : 0;
    if (range && start >= file.bytes.length) return void response.writeHead(416).end();
    const { length } = file.bytes;
    response.setHeader("accept-ranges", "bytes");
    response.setHeader("content-length", length - start);
    if (start > 0) response.setHeader("content-range", `bytes ${start}-${length - 1}/${length}`);
    response.writeHead(start > 0 ? 206 : 200);
    if (head) return void response.end();
    await this.#pieces(file.bytes.subarray(start), response, fault);
  }

  async #pieces(
    bytes: Uint8Array,
    response: ServerResponse,
    fault: Fault | undefined,
  ): Promise<void> {
    const end = fault?.kind === "cut" ? Math.min(fault.after, bytes.length) : bytes.length;
    for (let at = 0; at < end; at += PIECE_BYTES) {
      if (response.destroyed) return;
      const piece = bytes.slice(at, Math.min(at + PIECE_BYTES, end));
      if (fault?.kind === "wrong bytes") piece[0] = (piece[0] ?? 0) ^ 1;
      await new Promise((resolve) => response.write(piece, resolve));
      this.sent += piece.length;
      await this.onPiece?.(this.sent);
    }
    if (fault?.kind === "cut") response.destroy();
    else response.end();
  }
}

const PIECE_BYTES = 16 << 10;

function address(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What the Hub calls a file's content. */
export function etagOf({ bytes, large }: FakeFile): string {
  if (large) return createHash("sha256").update(bytes).digest("hex");
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

function entryOf(path: string, file: FakeFile): object {
  const size = file.claimedSize ?? file.bytes.length;
  const own = { type: "file", path, size };
  if (!file.large) return { ...own, oid: etagOf(file) };
  const oid = createHash("sha1").update(path).digest("hex");
  return { ...own, oid, lfs: { oid: etagOf(file), size, pointerSize: 134 } };
}

function infoOf(id: string, repo: FakeRepo): object {
  const siblings = [...repo.files.keys()].map((rfilename) => ({ rfilename }));
  return { _id: "1", id, modelId: id, sha: repo.commit, private: false, gated: false, siblings };
}

function json(response: ServerResponse, value: unknown): true {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(value));
  return true;
}

function refuse(response: ServerResponse, status: number, code: string): true {
  const headers: Record<string, string> = code === "" ? {} : { "x-error-code": code };
  response.writeHead(status, { ...headers, "x-error-message": "No" }).end();
  return true;
}
