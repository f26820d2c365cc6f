// HTTP over node:http with counted sockets. Not fetch: undici's sockets cannot be counted.
import http from "node:http";
import https from "node:https";
import { messageOf } from "@manyhands/base/errors";
import { NetworkError } from "../errors.ts";
import type { HttpRequest, HttpResponse, HttpSend } from "../http.ts";
import type { MeteredAgents } from "./agents.ts";

export type HttpClientOptions = {
  readonly agents: MeteredAgents;
  /** A connection on which nothing moved for so long is given up. */
  readonly idleMs?: number;
};

const IDLE_MS = 30_000;

export function nodeHttp(options: HttpClientOptions): HttpSend {
  return (request) => send(options, request);
}

function send(options: HttpClientOptions, request: HttpRequest): Promise<HttpResponse> {
  const url = new URL(request.url);
  const secure = url.protocol === "https:";
  const place = `${request.method} ${url.origin}${url.pathname}`;
  const length = request.body ? { "content-length": String(request.body.length) } : {};
  return new Promise((resolve, reject) => {
    const outgoing = (secure ? https : http).request(url, {
      method: request.method,
      agent: secure ? options.agents.https : options.agents.http,
      headers: { ...request.headers, ...length },
      timeout: options.idleMs ?? IDLE_MS,
      ...(request.signal ? { signal: request.signal } : {}),
    });
    outgoing.on("timeout", () => {
      outgoing.destroy(new NetworkError(`${place}: nothing came for too long`));
    });
    // Also after the answer has begun: an upload that was refused early breaks the pipe,
    // harmlessly.
    outgoing.on("error", (error) => {
      reject(new NetworkError(`${place}: ${messageOf(error)}`, { cause: error }));
    });
    outgoing.on("response", (incoming) => {
      resolve({
        status: incoming.statusCode ?? 0,
        header: (name) => incoming.headers[name]?.toString() ?? null,
        body: bodyOf(incoming, place),
      });
    });
    outgoing.end(request.body);
  });
}

async function* bodyOf(incoming: http.IncomingMessage, place: string): AsyncIterable<Uint8Array> {
  try {
    for await (const piece of incoming) yield piece as Uint8Array;
  } catch (error) {
    throw new NetworkError(`${place}: cut while reading (${messageOf(error)})`, { cause: error });
  }
  if (!incoming.complete) throw new NetworkError(`${place}: cut while reading`);
}
