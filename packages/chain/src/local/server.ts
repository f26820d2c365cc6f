// The local chain over HTTP, on this machine only unless somebody says otherwise.
// Not the RPC's methods: rpc.ts.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf } from "@manyhands/base/errors";
import type { LocalChain } from "./chain.ts";
import { INTERNAL, INVALID_REQUEST, RpcError } from "./errors.ts";
import { answer } from "./rpc.ts";
import { isRecord } from "./shape.ts";
import { unwelcome } from "./visitors.ts";

const BODY_BYTES_MAX = 4 * 1024 * 1024;
const BATCH_MAX = 200;
const ID_CHARS_MAX = 256;

export type ServeOptions = {
  /** 0: any that is free. */
  readonly port?: number;
  readonly host?: string;
};

export type ChainServer = { readonly url: string; close(): Promise<void> };

export async function serveChain(
  chain: LocalChain,
  { port = 0, host = "127.0.0.1" }: ServeOptions = {},
): Promise<ChainServer> {
  const server = createServer((request, response) => {
    // Whoever goes away in the middle of a request harms nobody else.
    handle(chain, host, request, response).catch(() => response.destroy());
  });
  server.listen(port, host);
  await once(server, "listening");
  return { url: `http://${host}:${portOf(server)}`, close: () => closeServer(server) };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

async function closeServer(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
  if (server.listening) await once(server, "close");
}

async function handle(
  chain: LocalChain,
  bound: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { origin, host } = request.headers;
  const problem = unwelcome({ origin, host }, bound);
  if (problem !== null) {
    const text = failure(null, new RpcError(INVALID_REQUEST, problem));
    response.writeHead(403, { "content-type": "application/json", connection: "close" }).end(text);
    return;
  }
  if (origin !== undefined) response.setHeader("access-control-allow-origin", origin);
  response.setHeader("vary", "origin");
  response.setHeader("access-control-allow-headers", "content-type");
  if (request.method === "OPTIONS") {
    response.writeHead(204).end();
    return;
  }
  if (request.method !== "POST") {
    response.writeHead(405, { allow: "POST" }).end();
    return;
  }
  const body = await readBody(request);
  const text = body === null ? failure(null, tooLarge()) : await answerText(chain, body);
  response.writeHead(200, { "content-type": "application/json" }).end(text);
}

function tooLarge(): RpcError {
  return new RpcError(INVALID_REQUEST, `a request has ${BODY_BYTES_MAX} bytes at most`);
}

async function readBody(request: IncomingMessage): Promise<string | null> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

async function answerText(chain: LocalChain, body: string): Promise<string> {
  let asked: unknown;
  try {
    asked = JSON.parse(body);
  } catch {
    return failure(null, new RpcError(-32700, "the request is no JSON"));
  }
  if (!Array.isArray(asked)) return answerOne(chain, asked);
  if (asked.length === 0 || asked.length > BATCH_MAX) {
    return failure(null, new RpcError(INVALID_REQUEST, `1 to ${BATCH_MAX} requests at once`));
  }
  // At once, so that transactions of a batch share a block.
  return `[${(await Promise.all(asked.map((one) => answerOne(chain, one)))).join(",")}]`;
}

async function answerOne(chain: LocalChain, asked: unknown): Promise<string> {
  if (!isRecord(asked)) return failure(null, new RpcError(INVALID_REQUEST, "no request"));
  const { id = null, method, params = [] } = asked;
  if (!isId(id)) return failure(null, new RpcError(INVALID_REQUEST, "an id is short, or a number"));
  try {
    if (typeof method !== "string" || !Array.isArray(params)) {
      throw new RpcError(INVALID_REQUEST, "a request has a method and a list of params");
    }
    return JSON.stringify({ jsonrpc: "2.0", id, result: await answer(chain, method, params) });
  } catch (caught) {
    return failure(id, caught);
  }
}

/** It is written back: what is not short and flat would be a way to break the answer. */
function isId(id: unknown): boolean {
  if (typeof id === "string") return id.length <= ID_CHARS_MAX;
  return id === null || typeof id === "number";
}

function failure(id: unknown, caught: unknown): string {
  const error =
    caught instanceof RpcError
      ? {
          code: caught.code,
          message: caught.message,
          ...(caught.data ? { data: caught.data } : {}),
        }
      : { code: INTERNAL, message: messageOf(caught) };
  return JSON.stringify({ jsonrpc: "2.0", id, error });
}
