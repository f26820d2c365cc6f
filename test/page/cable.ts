// A cable between a browser and its coordinator: it can be pulled and plugged in, and it counts.
import assert from "node:assert/strict";
import { createServer, connect as openSocket, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Coordinator } from "@manyhands/coordinator/serve";

/** A cable between browser and coordinator that can be pulled, and plugged in again. */
export async function cableTo(t: TestContext, coordinator: Coordinator) {
  const port = Number(new URL(coordinator.url).port);
  const sockets = new Set<Socket>();
  let isPlugged = true;
  let bytes = 0;
  const server = createServer((near) => {
    if (!isPlugged) return near.resetAndDestroy();
    const far = openSocket(port, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
    far.on("data", (piece: Buffer) => {
      bytes += piece.length;
    });
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return {
    link: coordinator.joinUrl.replace(`:${port}/`, `:${address.port}/`),
    /** What has come to the browser so far. */
    bytes: () => bytes,
    pull: () => {
      isPlugged = false;
      for (const socket of sockets) socket.destroy();
    },
    plug: () => {
      isPlugged = true;
    },
  };
}
