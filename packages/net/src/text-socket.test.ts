// The control connection over real loopback sockets: frames, limits, refusals, silence, counting.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import { ByteMeter } from "./byte-meter.ts";
import { meteredAgents } from "./node/agents.ts";
import { openTextSocket } from "./node/text-socket.ts";
import type { Closed, Timers } from "./text-socket.ts";

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

/** Timers that fire when told to. */
class HandTimers implements Timers {
  #waiting: (() => void)[] = [];

  set(_: number, call: () => void): () => void {
    this.#waiting.push(call);
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== call);
    };
  }

  fire(): void {
    const due = this.#waiting;
    this.#waiting = [];
    for (const call of due) call();
  }
}

async function listen(options: { autoPong?: boolean } = {}) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, ...options });
  await new Promise((resolve) => server.once("listening", resolve));
  cleanups.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  const connected = new Promise<WebSocket>((resolve) => server.once("connection", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/socket`, connected };
}

function open(url: string, frameBytesMax = 1_000) {
  const meter = new ByteMeter();
  const agents = meteredAgents(meter);
  const timers = new HandTimers();
  const texts: string[] = [];
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<Closed>();
  const heard = { resolve: (): void => undefined };
  const socket = openTextSocket({
    url,
    agents,
    timers,
    frameBytesMax,
    events: {
      onOpen: opened.resolve,
      onText: (text) => {
        texts.push(text);
        heard.resolve();
      },
      onClose: closed.resolve,
    },
  });
  cleanups.push(() => {
    socket.terminate();
    agents.close();
  });
  return { socket, timers, texts, meter, opened: opened.promise, closed: closed.promise, heard };
}

test("texts go both ways, and a polite close arrives as one", async () => {
  const { url, connected } = await listen();
  const { socket, texts, opened, closed, heard, meter } = open(url);
  await opened;
  const peer = await connected;
  const arrived = new Promise((resolve) => peer.once("message", (data) => resolve(String(data))));
  socket.send("hello");
  assert.equal(await arrived, "hello");
  const answered = new Promise<void>((resolve) => {
    heard.resolve = resolve;
  });
  peer.send("welcome");
  await answered;
  assert.deepEqual(texts, ["welcome"]);
  socket.close();
  assert.equal((await closed).code, 1000);
  assert.ok(meter.totals().up > 5 && meter.totals().down > 7);
});

test("the peer's close code and reason are told", async () => {
  const { url, connected } = await listen();
  const { opened, closed } = open(url);
  await opened;
  (await connected).close(4001, "replaced");
  assert.deepEqual(await closed, { why: "replaced", code: 4001, httpStatus: null });
});

test("sending on a closed socket does nothing", async () => {
  const { url, connected } = await listen();
  const { socket, closed } = open(url);
  (await connected).terminate();
  await closed;
  socket.send("late");
});

test("a server that answers with plain HTTP is told with its status", async () => {
  const server = createServer((_, response) => void response.writeHead(404).end("no run"));
  server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 404 Not Found\r\n\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  const { closed } = open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const { httpStatus, why } = await closed;
  assert.equal(httpStatus, 404);
  assert.match(why, /HTTP 404/);
});

test("nobody listens: closed with the system's reason", async () => {
  const { url } = await listen();
  cleanups.pop()?.();
  const { closed } = open(url);
  const { code, why } = await closed;
  assert.equal(code, 1006);
  assert.match(why, /ECONNREFUSED/);
});

test("a frame beyond the limit ends the connection", async () => {
  const { url, connected } = await listen();
  const { opened, closed, texts } = open(url, 100);
  await opened;
  const peer = await connected;
  peer.on("error", () => undefined);
  peer.send("x".repeat(101));
  assert.match((await closed).why, /max payload size/i);
  assert.deepEqual(texts, []);
});

test("a binary frame ends the connection", async () => {
  const { url, connected } = await listen();
  const { opened, closed } = open(url);
  await opened;
  (await connected).send(Buffer.of(1, 2, 3));
  assert.match((await closed).why, /binary frame/);
});

test("a peer that answers no ping is taken for gone", async () => {
  const { url, connected } = await listen({ autoPong: false });
  const { opened, closed, timers } = open(url);
  await opened;
  await connected;
  for (let i = 0; i < 3; i++) timers.fire();
  assert.match((await closed).why, /fell silent/);
});

test("a peer that answers pings stays", async () => {
  const { url, connected } = await listen();
  const { opened, closed, timers, socket, texts, heard } = open(url);
  await opened;
  const peer = await connected;
  for (let i = 0; i < 6; i++) {
    // The peer's text comes after its pong on the same connection: so the pong was heard.
    const answered = new Promise<void>((resolve) => {
      heard.resolve = resolve;
    });
    peer.once("ping", () => peer.send("still here"));
    timers.fire();
    await answered;
  }
  assert.equal(texts.length, 6);
  socket.close();
  assert.equal((await closed).code, 1000);
});
