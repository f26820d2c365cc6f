// A second door of the same server, over TLS: browsers give WebGPU, WebCrypto and threads only to
// pages of secure origins. Not another server: what comes in goes the way of plain connections.
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { createServer } from "node:tls";
import { assert } from "@manyhands/base/assert";
import { ListenError } from "../errors.ts";

export type SecureDoorOptions = {
  /** 0 for any free one. */
  readonly port: number;
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
};

export type SecureDoor = { readonly port: number; close(): Promise<void> };

/** Who only knocks, and never says what TLS needs, is let go after this. */
const HANDSHAKE_MS = 10_000;

/** @throws ListenError if the port cannot be had, or key and certificate are no pair */
export async function openSecureDoor(
  server: Server,
  host: string,
  options: SecureDoorOptions,
): Promise<SecureDoor> {
  const { port, key, certificate } = options;
  const sockets = new Set<Socket>();
  const door = createServer(
    { key, cert: certificate, ALPNProtocols: ["http/1.1"], handshakeTimeout: HANDSHAKE_MS },
    // Node's own way to hand a server a connection that it did not accept itself.
    (socket) => server.emit("connection", socket),
  );
  if (server.maxConnections > 0) door.maxConnections = server.maxConnections;
  door.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // A phone that does not trust the certificate ends the handshake: its own affair.
  door.on("tlsClientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    door.once("error", (error) => reject(new ListenError(host, port, error)));
    door.listen({ host, port }, resolve);
  });
  const address = door.address();
  assert(address !== null && typeof address === "object", "a listening server has an address");
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        door.close(() => resolve());
      }),
  };
}
