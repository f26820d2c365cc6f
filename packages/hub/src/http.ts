// Requests to the Hub: redirects by hand, so that a token never leaves its host; faults that pass
// are tried again; other answers become sentences.
// It deliberately knows no file and no cache.
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import { HubError } from "./errors.ts";
import type { HubSettings } from "./settings.ts";

export type Client = {
  readonly settings: HubSettings;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds before the second try, the third, and so on. */
  readonly retryDelays: readonly number[];
  /** Milliseconds without a byte after which a connection counts as cut. */
  readonly stallMs: number;
};

export type Answer = {
  readonly response: Response;
  readonly watch: Watch;
  /** Headers of the Hub itself, before it sent us to a store. */
  readonly first: Headers;
};

const REDIRECTS_MAX = 8;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Answers of a server that is busy or broken for a moment. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** A fault that may be gone at the next try. */
export class PassingFault extends ManyhandsError {
  override readonly name = "PassingFault";

  constructor(message: string, cause?: unknown) {
    super(message, { cause, hint: "try again" });
  }
}

export type Ask = {
  /** After the endpoint: "/api/models/…", or a whole address. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What is fetched, for messages: "org/name", or a file of it. */
  readonly what: string;
  /** Answers that the caller understands besides 2xx. */
  readonly accepts?: readonly number[];
};

/** @throws HubError for an answer that says no, PassingFault for a fault that may pass */
export async function ask(client: Client, question: Ask): Promise<Answer> {
  const { endpoint, token } = client.settings;
  const relative = question.path.startsWith("/");
  let url = new URL(relative ? `${endpoint}${question.path}` : question.path);
  const home = new URL(endpoint);
  let first: Headers | undefined;
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    const headers: Record<string, string> = { ...question.headers, "accept-encoding": "identity" };
    headers["user-agent"] = "manyhands";
    if (token && url.host === home.host && url.protocol === home.protocol) {
      headers["authorization"] = `Bearer ${token}`;
    }
    const { response, watch } = await send(client, url, headers);
    first ??= response.headers;
    const target = response.headers.get("location");
    if (REDIRECTS.has(response.status) && target !== null) {
      await drop({ response, watch });
      url = nextUrl(target, url, question);
      // The Hub's own redirects (a renamed repository) say nothing of the file yet.
      if (!first.has("x-repo-commit")) first = undefined;
      continue;
    }
    if (response.ok || question.accepts?.includes(response.status)) {
      return { response, watch, first };
    }
    await drop({ response, watch });
    throw refusal(response, question, token !== undefined);
  }
  throw new HubError("hub/answer", `${question.what}: redirected more than 8 times`, {
    hint: "check HF_ENDPOINT",
  });
}

/** Leaves an answer's body unread. */
export async function drop({ response, watch }: Sent): Promise<void> {
  watch.end();
  await response.body?.cancel();
}

function nextUrl(target: string, from: URL, { what }: Ask): URL {
  const next = URL.parse(target, from.href);
  const plain = next?.protocol === "http:" || next?.protocol === "https:";
  // From https nothing leads to http.
  if (next && plain && !(from.protocol === "https:" && next.protocol === "http:")) return next;
  throw new HubError("hub/answer", `${what}: redirected to an address that is not followed`, {
    hint: "check HF_ENDPOINT",
  });
}

/** Ends a request on which no byte came for a while. */
class Watch {
  readonly #controller = new AbortController();
  readonly #ms: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number) {
    this.#ms = ms;
    this.alive();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  alive(): void {
    clearTimeout(this.#timer);
    const late = (): void => this.#controller.abort(new PassingFault(`no byte in ${this.#ms} ms`));
    this.#timer = setTimeout(late, this.#ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

type Sent = { readonly response: Response; readonly watch: Watch };

async function send(
  client: Client,
  url: URL,
  headers: Readonly<Record<string, string>>,
): Promise<Sent> {
  const watch = new Watch(client.stallMs);
  const signal = client.signal ? AbortSignal.any([client.signal, watch.signal]) : watch.signal;
  try {
    return { response: await fetch(url, { headers, redirect: "manual", signal }), watch };
  } catch (cause) {
    watch.end();
    throw passing(client, url.host, cause);
  }
}

/** A connection's fault as one that may pass, unless the caller ended it. */
function passing(client: Client, place: string, cause: unknown): PassingFault {
  client.signal?.throwIfAborted();
  const why = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
  return new PassingFault(`${place}: ${messageOf(why)}`, cause);
}

/** An answer's body, piece by piece. @throws PassingFault if the connection is cut */
export async function* piecesOf(client: Client, answer: Answer): AsyncGenerator<Uint8Array> {
  const { response, watch } = answer;
  try {
    for await (const piece of response.body ?? []) {
      watch.alive();
      yield piece;
    }
  } catch (cause) {
    throw cause instanceof HubError ? cause : passing(client, "the connection was cut", cause);
  } finally {
    watch.end();
  }
}

/** An answer's body as JSON, if it is not longer than some bytes. */
export async function jsonOf(client: Client, answer: Answer, bytesMax: number): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of piecesOf(client, answer)) {
    size += piece.length;
    if (size > bytesMax) throw strange(`an answer of more than ${bytesMax} bytes`);
    pieces.push(piece);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString("utf8"));
  } catch {
    throw strange("an answer that is no JSON");
  }
}

/** The Hub, or what calls itself so, said something that it should not. */
export function strange(what: string): HubError {
  return new HubError("hub/answer", `the server sent ${what}`, {
    hint: "check that HF_ENDPOINT is the address of a Hugging Face Hub",
  });
}

/** A sentence for an answer that is no success. */
function refusal(response: Response, { what }: Ask, hasToken: boolean): Error {
  const { status } = response;
  const code = response.headers.get("x-error-code");
  if (PASSING.has(status)) return new PassingFault(`${what}: the server answered ${status}`);
  if (code === "GatedRepo") {
    return new HubError("hub/gated", `${what}: its owner wants to know who uses it`, {
      hint: hasToken
        ? "accept its conditions on its page, with the account that HF_TOKEN belongs to"
        : "accept its conditions on its page, and set HF_TOKEN to a token of that account",
    });
  }
  if (code === "RevisionNotFound") {
    return new HubError("hub/no-revision", `${what}: there is no such branch, tag or commit`, {
      hint: "leave @revision out for the newest, or name a branch, tag or commit of its page",
    });
  }
  if (code === "EntryNotFound") {
    return new HubError("hub/no-file", `${what}: the repository has no such file`, {
      hint: "name a repository with config.json and model.safetensors",
    });
  }
  if (status === 401 || status === 403) {
    return new HubError(
      "hub/unauthorized",
      `${what}: it does not exist, or only some may read it`,
      {
        hint: hasToken
          ? "check the name, and whether the token in HF_TOKEN is valid and may read it"
          : "check the name; for a private model set HF_TOKEN to a token that may read it",
      },
    );
  }
  if (status === 404 || status === 410) {
    return new HubError("hub/not-found", `${what}: there is no such model`, {
      hint: "check the name: hf:<org>/<name>, as in its page's address",
    });
  }
  return new HubError("hub/answer", `${what}: the server answered ${status}`, {
    hint: "check HF_ENDPOINT, and try again later",
  });
}

/**
 * Tries until it succeeds, the delays are used up, or a fault is none that may pass. `progressed`
 * says that the last try came further, which gives it all its tries back.
 */
export async function retried<T>(
  client: Client,
  what: string,
  attempt: (progressed: () => void) => Promise<T>,
): Promise<T> {
  let tries = 0;
  for (;;) {
    try {
      return await attempt(() => {
        tries = 0;
      });
    } catch (caught) {
      if (!(caught instanceof PassingFault)) throw caught;
      const delay = client.retryDelays[tries];
      if (delay === undefined) throw networkError(client, what, caught);
      tries += 1;
      await pause(delay, client.signal);
    }
  }
}

function networkError(client: Client, what: string, fault: PassingFault): HubError {
  return new HubError("hub/network", `${what} could not be fetched: ${fault.message}`, {
    hint: `check the connection to ${client.settings.endpoint}; what was fetched is kept`,
    cause: fault,
  });
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (ms === 0) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const end = (): void => {
    clearTimeout(timer);
    resolve();
  };
  signal?.addEventListener("abort", end, { once: true });
  await promise;
  signal?.removeEventListener("abort", end);
  signal?.throwIfAborted();
}
