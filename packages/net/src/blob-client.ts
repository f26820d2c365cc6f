// Content-addressed bytes over HTTP: GET with Range resume and verification, PUT, with bounded
// retries. Not a cache: what is kept on disk is the worker's business.
import { toHex } from "@manyhands/base/bytes";
import { blobRoot, type Sha256 } from "@manyhands/base/hash";
import { type Backoff, fullJitterMs } from "./backoff.ts";
import { CorruptBlobError, NetworkError, RefusedError } from "./errors.ts";
import type { HttpRequest, HttpResponse, HttpSend } from "./http.ts";

export type BlobClientOptions = {
  /** Address of the run, without a slash at its end; blobs are below `/blobs/`. */
  readonly runUrl: string;
  readonly send: HttpSend;
  readonly hash: Sha256;
  /** The bearer token for the next request; null before there is one. */
  readonly bearer: () => string | null;
  readonly sleep: (ms: number) => Promise<void>;
  /** Uniform draws from [0, 1), for jitter. */
  readonly unit: () => number;
  readonly triesMax?: number;
  readonly backoff?: Backoff;
};

const TRIES_MAX = 5;
const BACKOFF: Backoff = { baseMs: 300, capMs: 5_000 };
const ANSWER_BYTES_MAX = 16 * 1024;

type Step<T> = { readonly done: T } | { readonly failed: Error };

export class BlobClient {
  readonly #options: BlobClientOptions;

  constructor(options: BlobClientOptions) {
    this.#options = options;
  }

  /**
   * The bytes with this name. A cut connection is continued where it broke.
   *
   * @param byteLength expected length; a server that answers with another is refused
   * @throws NetworkError, RefusedError, CorruptBlobError after the last try
   */
  async get(root: string, byteLength: number, signal?: AbortSignal): Promise<Uint8Array> {
    const partial = { bytes: new Uint8Array(byteLength), have: 0 };
    return this.#tries(signal, async () => {
      await this.#continue(root, partial, signal);
      const found = toHex(blobRoot(partial.bytes, this.#options.hash));
      if (found === root) return { done: partial.bytes };
      partial.have = 0;
      return { failed: new CorruptBlobError(root, found) };
    });
  }

  /** Stores bytes under their name. Storing the same bytes again is no mistake. */
  async put(root: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#tries(signal, async () => {
      const response = await this.#send({
        method: "PUT",
        url: this.#blobUrl(root),
        headers: { "content-type": "application/octet-stream" },
        body: bytes,
        signal,
      });
      await refuseUnless(response, [200, 201, 204], `upload of ${root.slice(0, 12)}…`);
      await drain(response);
      return { done: undefined };
    });
  }

  /** The JSON at a path below the run's address. */
  async json(path: string, bytesMax: number, signal?: AbortSignal): Promise<unknown> {
    return this.#tries(signal, async () => {
      const response = await this.#send({
        method: "GET",
        url: `${this.#options.runUrl}${path}`,
        signal,
      });
      await refuseUnless(response, [200], `GET ${path}`);
      const text = new TextDecoder().decode(await readAtMost(response, bytesMax));
      return { done: parsed(text, path) };
    });
  }

  async #continue(
    root: string,
    partial: { bytes: Uint8Array; have: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const wanted = partial.bytes.length;
    if (partial.have === wanted) return;
    const response = await this.#send({
      method: "GET",
      url: this.#blobUrl(root),
      ...(partial.have > 0 ? { headers: { range: `bytes=${partial.have}-` } } : {}),
      signal,
    });
    await refuseUnless(response, [200, 206], `blob ${root.slice(0, 12)}…`);
    if (response.status === 200) partial.have = 0;
    else checkRange(response, partial.have, wanted);
    for await (const piece of response.body) {
      if (partial.have + piece.length > wanted) {
        partial.have = 0;
        throw new NetworkError(`blob ${root.slice(0, 12)}…: more than ${wanted} B came`);
      }
      partial.bytes.set(piece, partial.have);
      partial.have += piece.length;
    }
    if (partial.have < wanted) {
      throw new NetworkError(
        `blob ${root.slice(0, 12)}…: ended after ${partial.have} of ${wanted} B`,
      );
    }
  }

  #blobUrl(root: string): string {
    return `${this.#options.runUrl}/blobs/${root}`;
  }

  #send(request: HttpRequest): Promise<HttpResponse> {
    const bearer = this.#options.bearer();
    const authorization = bearer === null ? {} : { authorization: `Bearer ${bearer}` };
    return this.#options.send({ ...request, headers: { ...request.headers, ...authorization } });
  }

  async #tries<T>(signal: AbortSignal | undefined, attempt: () => Promise<Step<T>>): Promise<T> {
    const { triesMax = TRIES_MAX, backoff = BACKOFF, sleep, unit } = this.#options;
    for (let failures = 0; ; failures++) {
      let error: Error;
      try {
        const step = await attempt();
        if ("done" in step) return step.done;
        error = step.failed;
      } catch (caught) {
        if (!(caught instanceof NetworkError)) throw caught;
        error = caught;
      }
      if (failures + 1 >= triesMax || signal?.aborted) throw error;
      await sleep(fullJitterMs(backoff, failures, unit()));
    }
  }
}

/** A 206 must continue exactly where we are, within a blob of the length that we expect. */
function checkRange(response: HttpResponse, from: number, total: number): void {
  const found = response.header("content-range");
  const expected = `bytes ${from}-${total - 1}/${total}`;
  if (found !== expected) {
    throw new NetworkError(`expected content-range ${expected}, found ${found ?? "none"}`);
  }
}

/** Answers that mean: later, perhaps. */
const BUSY: readonly number[] = [408, 425, 429, 500, 502, 503, 504, 507];

async function refuseUnless(
  response: HttpResponse,
  accepted: readonly number[],
  what: string,
): Promise<void> {
  const { status } = response;
  if (accepted.includes(status)) return;
  const text = new TextDecoder().decode(await readAtMost(response, ANSWER_BYTES_MAX));
  const { code, message } = reasonIn(text);
  if (BUSY.includes(status)) throw new NetworkError(`${what}: HTTP ${status} (${message})`);
  throw new RefusedError(what, { status, code, message });
}

/** The `{code, message}` of a refusal; other answers keep their first words. */
function reasonIn(text: string): { code: string | null; message: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) {
      const code: unknown = Reflect.get(value, "code");
      const message: unknown = Reflect.get(value, "message");
      return {
        code: typeof code === "string" ? code : null,
        message: typeof message === "string" ? message : text.slice(0, 200),
      };
    }
  } catch {
    // Not JSON: a proxy's page, perhaps. Its words are better than none.
  }
  return { code: null, message: text.slice(0, 200) || "no reason given" };
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new NetworkError(`GET ${path}: the answer is not JSON`, { cause });
  }
}

async function readAtMost(response: HttpResponse, bytesMax: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body) {
    length += piece.length;
    if (length > bytesMax) throw new NetworkError(`an answer of more than ${bytesMax} B`);
    pieces.push(piece);
  }
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

async function drain(response: HttpResponse): Promise<void> {
  await readAtMost(response, ANSWER_BYTES_MAX);
}
