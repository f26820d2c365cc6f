// Blob transfer over real loopback connections: cuts, wrong bytes, busy servers, refusals.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { after, test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import { blobRoot, CHUNK_BYTES, sha256 } from "@manyhands/base/hash";
import { BlobClient } from "./blob-client.ts";
import { ByteMeter } from "./byte-meter.ts";
import { CorruptBlobError, NetworkError, RefusedError } from "./errors.ts";
import type { HttpSend } from "./http.ts";
import { meteredAgents } from "./node/agents.ts";
import { nodeHttp } from "./node/http-client.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

/** Bytes whose chunks differ, a little more than one chunk. */
const BYTES = Uint8Array.from(
  { length: CHUNK_BYTES + 1_000 },
  (_, i) => (i * 31 + (i >> 12)) & 255,
);
const ROOT = toHex(blobRoot(BYTES, sha256));
const PATH = `/runs/r/blobs/${ROOT}`;

/** A server that answers the n-th request with the n-th handler, and the last one from then on. */
async function serve(...handlers: readonly Handler[]) {
  const seen: { method: string; url: string; headers: IncomingMessage["headers"] }[] = [];
  const server: Server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    const handler = handlers[Math.min(seen.length, handlers.length - 1)];
    seen.push({ method, url, headers });
    handler?.(request, response);
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const meter = new ByteMeter();
  const agents = meteredAgents(meter);
  const slept: number[] = [];
  const client = new BlobClient({
    runUrl: `http://127.0.0.1:${port}/runs/r`,
    send: watched(nodeHttp({ agents })),
    hash: sha256,
    bearer: () => "session",
    sleep: async (ms) => void slept.push(ms),
    unit: () => 0.5,
  });
  cleanups.push(() => {
    agents.close();
    server.closeAllConnections();
    server.close();
  });
  return { client, seen, slept, meter, agents, sockets, server };
}

/** Called each time the client has taken a piece of a body: so that a cut can wait for it. */
let onPiece = (): void => undefined;

function watched(send: HttpSend): HttpSend {
  return async (request) => {
    const response = await send(request);
    return { ...response, header: response.header, body: watchedBody(response.body) };
  };
}

async function* watchedBody(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const piece of body) {
    yield piece;
    onPiece();
  }
}

const whole: Handler = (_, response) => {
  response.writeHead(200, { "content-length": BYTES.length }).end(BYTES);
};

/** Honours `range: bytes=n-`. */
const ranged: Handler = (request, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (from === 0) {
    whole(request, response);
    return;
  }
  const range = `bytes ${from}-${BYTES.length - 1}/${BYTES.length}`;
  const rest = BYTES.subarray(from);
  response.writeHead(206, { "content-length": rest.length, "content-range": range }).end(rest);
};

/** Promises everything, sends 100 kB, and cuts once the client has some of them. */
const cut: Handler = (_, response) => {
  onPiece = () => void response.socket?.destroy();
  response.writeHead(200, { "content-length": BYTES.length });
  response.write(BYTES.subarray(0, 100_000));
};

function answer(status: number, body: unknown): Handler {
  return (_, response) => {
    response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

test("a blob arrives, verified, asked for with the session", async () => {
  const { client, seen, slept } = await serve(whole);
  assert.deepEqual(await client.get(ROOT, BYTES.length), BYTES);
  assert.equal(seen[0]?.url, PATH);
  assert.equal(seen[0]?.headers.authorization, "Bearer session");
  assert.deepEqual(slept, []);
});

test("a connection cut in the body is continued where it broke", async () => {
  const { client, seen, slept } = await serve(cut, ranged);
  assert.deepEqual(await client.get(ROOT, BYTES.length), BYTES);
  assert.equal(seen[0]?.headers.range, undefined);
  const from = Number(/^bytes=(\d+)-$/.exec(seen[1]?.headers.range ?? "")?.[1]);
  assert.ok(from > 0 && from <= 100_000, `continued at ${from}`);
  assert.deepEqual(slept, [150]);
});

test("a server without ranges starts over, and so do we", async () => {
  const { client } = await serve(cut, whole);
  assert.deepEqual(await client.get(ROOT, BYTES.length), BYTES);
});

test("a range other than the one asked for is not spliced in", async () => {
  const wrong: Handler = (_, response) => {
    const range = `bytes 5-${BYTES.length - 1}/${BYTES.length}`;
    response.writeHead(206, { "content-range": range }).end(BYTES.subarray(5));
  };
  const { client, seen } = await serve(cut, wrong, ranged);
  assert.deepEqual(await client.get(ROOT, BYTES.length), BYTES);
  assert.equal(seen.length, 3);
});

test("wrong bytes are asked for again from the start; always wrong is an error with both names", async () => {
  const bad = BYTES.slice();
  bad[CHUNK_BYTES + 7] = (bad[CHUNK_BYTES + 7] ?? 0) ^ 1;
  const wrong: Handler = (_, response) => void response.end(bad);
  const healed = await serve(wrong, whole);
  assert.deepEqual(await healed.client.get(ROOT, BYTES.length), BYTES);
  assert.equal(healed.seen[1]?.headers.range, undefined);
  const never = await serve(wrong);
  await assert.rejects(never.client.get(ROOT, BYTES.length), CorruptBlobError);
  assert.equal(never.seen.length, 5, "tries are bounded");
});

test("more or fewer bytes than agreed are never accepted", async () => {
  const longer = await serve((_, response) => void response.end(Buffer.concat([BYTES, BYTES])));
  await assert.rejects(longer.client.get(ROOT, BYTES.length), /more than/);
  const shorter = await serve((_, response) => void response.end(BYTES.subarray(1)));
  await assert.rejects(shorter.client.get(ROOT, BYTES.length), NetworkError);
});

test("503, then well: the waits double, with jitter", async () => {
  const busy = answer(503, { code: "message/rate", message: "later" });
  const { client, slept } = await serve(busy, busy, busy, whole);
  assert.deepEqual(await client.get(ROOT, BYTES.length), BYTES);
  assert.deepEqual(slept, [150, 300, 600]);
});

test("a refusal is final and carries the protocol's code", async () => {
  const refusal = { code: "blob/unknown", message: "no such blob" };
  const { client, seen } = await serve(answer(404, refusal));
  await assert.rejects(client.get(ROOT, BYTES.length), (error) => {
    assert.ok(error instanceof RefusedError);
    assert.equal(error.code, "blob/unknown");
    assert.equal(error.status, 404);
    assert.match(error.message, /no such blob/);
    return true;
  });
  assert.equal(seen.length, 1);
});

test("a refusal without JSON keeps its words", async () => {
  const { client } = await serve(answer(403, "<h1>proxy says no</h1>"));
  await assert.rejects(client.get(ROOT, BYTES.length), /HTTP 403.*proxy says no/);
});

test("nobody listens: a network error after the last try", async () => {
  const { client, server, slept } = await serve(whole);
  server.close();
  await assert.rejects(client.get(ROOT, BYTES.length), NetworkError);
  assert.equal(slept.length, 4);
});

test("a stopped transfer is not tried again", async () => {
  const stop = new AbortController();
  const { client, slept } = await serve((_, response) => {
    response.writeHead(200, { "content-length": BYTES.length });
    response.write(BYTES.subarray(0, 10), () => stop.abort());
  });
  await assert.rejects(client.get(ROOT, BYTES.length, stop.signal), NetworkError);
  assert.deepEqual(slept, []);
});

test("an upload carries its length and its bytes, and comes again when the line was cut", async () => {
  const received: Buffer[][] = [];
  const store: Handler = (request, response) => {
    const pieces: Buffer[] = [];
    received.push(pieces);
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => response.writeHead(201).end());
  };
  const stop: Handler = (request) => void request.once("data", () => request.socket.destroy());
  const { client, seen } = await serve(stop, store);
  await client.put(ROOT, BYTES);
  assert.equal(seen[1]?.method, "PUT");
  assert.equal(seen[1]?.headers["content-length"], String(BYTES.length));
  assert.deepEqual(new Uint8Array(Buffer.concat(received[0] ?? [])), BYTES);
});

test("an upload that is refused before its body was read says why", async () => {
  const refuse: Handler = (_, response) => {
    response.writeHead(413, { connection: "close" });
    response.end(JSON.stringify({ code: "blob/too-large", message: "at most 5 B" }));
  };
  const { client } = await serve(refuse);
  await assert.rejects(client.put(ROOT, BYTES), (error) => {
    // The server may close while we still write: then the system reports a broken pipe instead.
    if (error instanceof NetworkError) return true;
    return error instanceof RefusedError && error.code === "blob/too-large";
  });
});

test("JSON answers are bounded, and must be JSON", async () => {
  const good = await serve(answer(200, [1, 2]));
  assert.deepEqual(await good.client.json("/rounds?from=0", 100), [1, 2]);
  assert.equal(good.seen[0]?.url, "/runs/r/rounds?from=0");
  const long = await serve(answer(200, " ".repeat(1_000)));
  await assert.rejects(long.client.json("/rounds", 100), /more than 100 B/);
  const page = await serve(answer(200, "<html>"));
  await assert.rejects(page.client.json("/rounds", 100), /not JSON/);
});

test("the meter counts what the server's sockets count, headers and all", async () => {
  const { client, meter, agents, sockets } = await serve(cut, ranged);
  await client.get(ROOT, BYTES.length);
  const closed = [...sockets].map(
    (socket) =>
      new Promise((resolve) => (socket.closed ? resolve(0) : socket.on("close", resolve))),
  );
  agents.close();
  await Promise.all(closed);
  const up = [...sockets].reduce((sum, socket) => sum + socket.bytesRead, 0);
  const down = [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0);
  assert.equal(sockets.size, 2);
  assert.deepEqual(meter.totals(), { up, down });
  assert.ok(down > BYTES.length);
});
