// Control connections: JSON text frames over WebSocket, bounded in size, rate and patience.
// docs/spec/05-http.md §5.4. What messages mean is the core's business.
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { problemText } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import { MESSAGE_BYTES_MAX } from "@manyhands/protocol/limits";
import { type ClientMessage, clientMessageDecoder } from "@manyhands/protocol/messages";
import { type Reject, reject } from "@manyhands/protocol/rejects";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import type { Connection } from "../core/connection.ts";
import type { CloseReason } from "../core/ports.ts";
import type { HostedRun } from "./hosted-run.ts";
import { FRAME_BYTES_MAX, type ServerLimits, TokenBucket } from "./limits.ts";
import type { TrafficMeter } from "./traffic.ts";

/** WebSocket close codes; 4000 and up are ours. */
const CLOSE_CODES: Readonly<Record<CloseReason, number>> = {
  left: 1000,
  refused: 1008,
  broken: 1011,
  replaced: 4001,
  expired: 4002,
};
const TOO_LARGE = 1009;
const TOO_SLOW = 4003;
const JOIN_TIMEOUT = 4004;

export type ControlParts = {
  readonly runs: ReadonlyMap<string, HostedRun>;
  readonly meter: TrafficMeter;
  readonly limits: ServerLimits;
  readonly now: () => number;
};

const SOCKET_PATH = /^\/runs\/([0-9a-f]{64})\/socket$/;

/** Answers upgrade requests of a server. @returns how to end all connections */
export function addControlSockets(server: Server, parts: ControlParts): () => void {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: true,
  });
  server.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const runId = SOCKET_PATH.exec(request.url?.split("?")[0] ?? "")?.[1] ?? "";
    const run = parts.runs.get(runId);
    if (!run) {
      stream.on("error", () => stream.destroy());
      stream.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      new ControlSocket(socket, request.socket, { ...parts, run });
    });
  });
  return () => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
  };
}

class ControlSocket {
  readonly #socket: WebSocket;
  readonly #tcp: Socket;
  readonly #parts: ControlParts & { readonly run: HostedRun };
  readonly #bucket: TokenBucket;
  readonly #connection: Connection;
  readonly #joinTimer: NodeJS.Timeout;

  constructor(socket: WebSocket, tcp: Socket, parts: ControlParts & { readonly run: HostedRun }) {
    this.#socket = socket;
    this.#tcp = tcp;
    this.#parts = parts;
    const { limits, now, run, meter } = parts;
    this.#bucket = new TokenBucket(limits.messagesBurst, limits.messagesPerSecond, now());
    meter.attribute(tcp, run.traffic, null);
    this.#connection = run.core.connect({
      send: (message) => this.#send(JSON.stringify(message)),
      close: (reason) => socket.close(CLOSE_CODES[reason], reason),
    });
    this.#joinTimer = setTimeout(() => socket.close(JOIN_TIMEOUT, "no join"), limits.joinMs);
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("close", () => this.#closed());
    // A frame beyond the bound, or not a frame at all: ws closes the connection by itself.
    socket.on("error", (error) => {
      const tooLarge = "code" in error && error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH";
      run.core.countReject(tooLarge ? "message/too-large" : "message/malformed");
    });
  }

  #closed(): void {
    clearTimeout(this.#joinTimer);
    this.#parts.run.core.disconnect(this.#connection);
  }

  #send(text: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > this.#parts.limits.unsentBytesMax) {
      this.#socket.close(TOO_SLOW, "too slow");
      this.#socket.terminate();
      return;
    }
    this.#socket.send(text);
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    const { run, now, meter } = this.#parts;
    if (!this.#bucket.take(now())) {
      run.core.refuse(this.#connection, reject("message/rate", "too many messages: slow down"));
      return;
    }
    const message = decodeFrame(data, isBinary);
    if (!message.ok) {
      run.core.refuse(this.#connection, message.error);
      if (message.error.code === "message/too-large") this.#socket.close(TOO_LARGE, "too large");
      return;
    }
    run.core.receive(this.#connection, message.value);
    const { workerId } = this.#connection;
    if (workerId !== null) {
      clearTimeout(this.#joinTimer);
      meter.attribute(this.#tcp, run.traffic, workerId);
    }
  }
}

/** A client message out of a frame. */
export function decodeFrame(data: RawData, isBinary: boolean): Result<ClientMessage, Reject> {
  const bytes = bufferOf(data);
  if (bytes.length > MESSAGE_BYTES_MAX) {
    const text = `expected at most ${MESSAGE_BYTES_MAX} B, found ${bytes.length} B`;
    return err(reject("message/too-large", text));
  }
  if (isBinary) return err(reject("message/malformed", "expected a text frame, found binary"));
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    return err(reject("message/malformed", `not JSON: ${messageOf(error)}`));
  }
  const decoded = clientMessageDecoder(value);
  return decoded.ok
    ? ok(decoded.value)
    : err(reject("message/malformed", problemText(decoded.error)));
}

function bufferOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
