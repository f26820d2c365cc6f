// The browser's ports on Node's own fetch and WebSocket, against real loopback servers.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import { blobRoot, sha256 } from "@manyhands/base/hash";
import { type WebSocket as Peer, WebSocketServer } from "ws";
import { BlobClient } from "../blob-client.ts";
import { NetworkError } from "../errors.ts";
import type { Closed } from "../text-socket.ts";
import { fetchHttp } from "./fetch-client.ts";
import { openBrowserSocket } from "./text-socket.ts";

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

const BLOB = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) % 251);
const ROOT = toHex(blobRoot(BLOB, sha256));

/** A server that cuts its first answer in the middle, and honours ranges. */
async function cuttingServer(): Promise<{ url: string; ranges: (string | undefined)[] }> {
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const { range } = request.headers;
    ranges.push(range);
    const from = Number(/bytes=(\d+)-/.exec(range ?? "")?.[1] ?? 0);
    const headers = {
      "content-length": BLOB.length - from,
      ...(range ? { "content-range": `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` } : {}),
    };
    response.writeHead(range ? 206 : 200, headers);
    if (ranges.length > 1) response.end(BLOB.subarray(from));
    else response.write(BLOB.subarray(0, 100_000), () => setImmediate(() => response.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/run`, ranges };
}

test("a blob whose connection is cut goes on where it broke, and its bytes are counted", async () => {
  const { url, ranges } = await cuttingServer();
  let down = 0;
  const client = new BlobClient({
    runUrl: url,
    send: fetchHttp({ onBytes: (bytes) => (down += bytes.down) }),
    hash: sha256,
    bearer: () => null,
    sleep: async () => undefined,
    unit: () => 0,
  });
  assert.deepEqual(await client.get(ROOT, BLOB.length), BLOB);
  assert.equal(ranges.length, 2);
  assert.match(ranges[1] ?? "", /^bytes=[1-9]\d*-$/);
  assert.equal(down, BLOB.length);
});

test("a server that is not there is a NetworkError that names no query", async () => {
  const send = fetchHttp({ onBytes: () => undefined });
  const asked = send({ method: "GET", url: "http://127.0.0.1:9/x?token=secret" });
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof NetworkError);
    assert.match(error.message, /^GET http:\/\/127\.0\.0\.1:9\/x: /);
    return true;
  });
});

function open(url: string, frameBytesMax = 100) {
  const closed = Promise.withResolvers<Closed>();
  const opened = Promise.withResolvers<void>();
  const text = Promise.withResolvers<string>();
  const total = { up: 0, down: 0 };
  const socket = openBrowserSocket({
    url,
    frameBytesMax,
    timers: { set: () => () => undefined },
    onBytes: ({ up, down }) => {
      total.up += up;
      total.down += down;
    },
    events: { onOpen: opened.resolve, onText: text.resolve, onClose: closed.resolve },
  });
  cleanups.push(() => socket.terminate());
  return { socket, total, opened: opened.promise, closed: closed.promise, text: text.promise };
}

async function echo(answer: (peer: Peer, text: string) => void): Promise<string> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await new Promise((resolve) => server.once("listening", resolve));
  server.on("connection", (peer) => peer.on("message", (data) => answer(peer, String(data))));
  cleanups.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test("texts go both ways and are counted; the peer's code and reason arrive", async () => {
  const url = await echo((peer, text) => {
    peer.send(text.toUpperCase());
    peer.close(4001, "replaced");
  });
  const { socket, total, opened, closed, text } = open(url);
  await opened;
  socket.send("hello");
  assert.equal(await text, "HELLO");
  assert.deepEqual(await closed, { why: "replaced", code: 4001, httpStatus: null });
  assert.deepEqual(total, { up: 5, down: 5 });
});

for (const [name, frame] of [
  ["too large", "x".repeat(101)],
  ["binary", Buffer.of(1)],
] as const) {
  test(`a frame that is ${name} ends the connection, and nobody reads it`, async () => {
    const url = await echo((peer) => peer.send(frame));
    const { socket, opened, closed, total } = open(url);
    await opened;
    socket.send("?");
    const { why, code } = await closed;
    assert.match(why, /binary frame|more than 100 B/);
    assert.equal(code, 1006);
    assert.equal(total.down, 0);
  });
}

test("no server: closed once, and never open", async () => {
  const { closed } = open("ws://127.0.0.1:9/");
  const { code, httpStatus } = await closed;
  assert.deepEqual([code, httpStatus], [1006, null]);
});
