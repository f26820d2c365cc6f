// One outbound WebSocket that carries text frames, with a handshake limit and keep-alive pings.
// Not reconnecting: when and whether to come back is decided by whoever uses it.
import { messageOf } from "@manyhands/base/errors";
import { WebSocket } from "ws";
import type { Closed, TextSocket, TextSocketEvents, Timers } from "../text-socket.ts";
import type { MeteredAgents } from "./agents.ts";

export type TextSocketOptions = {
  /** ws:, wss:, http: or https:. */
  readonly url: string;
  readonly agents: MeteredAgents;
  readonly timers: Timers;
  readonly events: TextSocketEvents;
  /** Largest frame that is accepted. */
  readonly frameBytesMax: number;
  readonly handshakeMs?: number;
  /** A ping so often; a peer that is silent for two of them is taken for gone. */
  readonly pingMs?: number;
};

const HANDSHAKE_MS = 10_000;
const PING_MS = 10_000;

export function openTextSocket(options: TextSocketOptions): TextSocket {
  const secure = /^(https|wss):/.test(options.url);
  const socket = new WebSocket(options.url, {
    agent: secure ? options.agents.https : options.agents.http,
    perMessageDeflate: false,
    maxPayload: options.frameBytesMax,
    handshakeTimeout: options.handshakeMs ?? HANDSHAKE_MS,
  });
  const keepAlive = new KeepAlive(socket, options);
  watch(socket, options.events, keepAlive);
  return {
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close() {
      keepAlive.stop();
      if (socket.readyState === WebSocket.OPEN) socket.close(1000);
      else socket.terminate();
    },
    terminate() {
      keepAlive.stop();
      socket.terminate();
    },
  };
}

function watch(socket: WebSocket, events: TextSocketEvents, keepAlive: KeepAlive): void {
  let why = "the connection was closed";
  let httpStatus: number | null = null;
  const closed = (detail: Closed) => {
    keepAlive.stop();
    events.onClose(detail);
  };
  socket.on("open", () => {
    keepAlive.start();
    events.onOpen();
  });
  socket.on("message", (data, isBinary) => {
    keepAlive.heard();
    if (isBinary) {
      why = "the peer sent a binary frame, which the protocol does not have";
      socket.terminate();
    } else {
      events.onText(data.toString());
    }
  });
  socket.on("pong", () => keepAlive.heard());
  socket.on("unexpected-response", (request, response) => {
    httpStatus = response.statusCode ?? null;
    why = `HTTP ${httpStatus} instead of a WebSocket`;
    response.resume();
    request.destroy();
    socket.terminate();
  });
  socket.on("error", (error) => {
    if (httpStatus === null) why = messageOf(error) || error.name;
  });
  socket.on("close", (code, reason) => {
    const words = keepAlive.silent ? "the peer fell silent" : reason.toString() || why;
    closed({ why: words, code, httpStatus });
  });
}

/** Pings while the socket is open, and ends it when nothing at all comes back. */
class KeepAlive {
  readonly #socket: WebSocket;
  readonly #timers: Timers;
  readonly #everyMs: number;
  #cancel: (() => void) | null = null;
  #unanswered = 0;
  silent = false;

  constructor(socket: WebSocket, options: TextSocketOptions) {
    this.#socket = socket;
    this.#timers = options.timers;
    this.#everyMs = options.pingMs ?? PING_MS;
  }

  start(): void {
    this.#cancel = this.#timers.set(this.#everyMs, () => this.#tick());
  }

  heard(): void {
    this.#unanswered = 0;
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #tick(): void {
    if (this.#unanswered >= 2) {
      this.silent = true;
      this.#socket.terminate();
      return;
    }
    this.#unanswered += 1;
    this.#socket.ping();
    this.start();
  }
}
