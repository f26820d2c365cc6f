// HTTP over fetch, for pages and workers. Counts the bodies that it carries: a browser tells nobody
// the bytes of headers. Not a cache: answers that must not be kept are asked for as such.
import { messageOf } from "@manyhands/base/errors";
import { NetworkError } from "../errors.ts";
import type { HttpRequest, HttpResponse, HttpSend } from "../http.ts";

export type FetchClientOptions = {
  readonly onBytes: (bytes: { readonly up: number; readonly down: number }) => void;
  /** A connection on which nothing moved for so long is given up. */
  readonly idleMs?: number;
};

const IDLE_MS = 30_000;

export function fetchHttp(options: FetchClientOptions): HttpSend {
  return (request) => send(options, request);
}

async function send(options: FetchClientOptions, request: HttpRequest): Promise<HttpResponse> {
  const place = `${request.method} ${placeOf(request.url)}`;
  const idle = new IdleLimit(options.idleMs ?? IDLE_MS);
  const signal = request.signal ? AbortSignal.any([request.signal, idle.signal]) : idle.signal;
  try {
    const response = await fetch(request.url, {
      method: request.method,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      headers: { ...request.headers },
      body: request.body ? Uint8Array.from(request.body) : null,
      signal,
    });
    options.onBytes({ up: request.body?.length ?? 0, down: 0 });
    return {
      status: response.status,
      header: (name) => response.headers.get(name),
      body: bodyOf(response, { place, idle, onBytes: options.onBytes }),
    };
  } catch (cause) {
    idle.end();
    throw new NetworkError(`${place}: ${wordsFor(cause, idle)}`, { cause });
  }
}

type BodyParts = Pick<FetchClientOptions, "onBytes"> & {
  readonly place: string;
  readonly idle: IdleLimit;
};

async function* bodyOf(response: Response, parts: BodyParts): AsyncIterable<Uint8Array> {
  const { place, idle, onBytes } = parts;
  const reader = response.body?.getReader();
  try {
    while (reader) {
      idle.moved();
      const { value, done } = await reader.read();
      if (done) break;
      onBytes({ up: 0, down: value.length });
      yield value;
    }
  } catch (cause) {
    const why = `${place}: cut while reading (${wordsFor(cause, idle)})`;
    throw new NetworkError(why, { cause });
  } finally {
    idle.end();
    await reader?.cancel().catch(() => undefined);
  }
}

function wordsFor(cause: unknown, idle: IdleLimit): string {
  return idle.signal.aborted ? "nothing came for too long" : messageOf(cause);
}

/** Without a query or a fragment: those may carry what is nobody's business. */
function placeOf(address: string): string {
  const url = new URL(address);
  return `${url.origin}${url.pathname}`;
}

class IdleLimit {
  readonly #abort = new AbortController();
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout>;

  constructor(ms: number) {
    this.#ms = ms;
    this.#timer = setTimeout(() => this.#abort.abort(), ms);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  moved(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#abort.abort(), this.#ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
