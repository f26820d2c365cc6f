// The little of HTTP that blob transfer needs, as a port: Node and browsers each have their own.
// Not a general client: no redirects, no cookies, no caching.

export type HttpRequest = {
  readonly method: "GET" | "HEAD" | "PUT" | "POST";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
};

export type HttpResponse = {
  readonly status: number;
  /** A header by its lower-case name. */
  header(name: string): string | null;
  /** The body, once. Throws NetworkError when the connection is cut before its end. */
  readonly body: AsyncIterable<Uint8Array>;
};

/** Sends one request. Rejects with NetworkError if no answer came. */
export type HttpSend = (request: HttpRequest) => Promise<HttpResponse>;
