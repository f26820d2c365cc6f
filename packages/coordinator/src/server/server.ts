// The coordinator's server: one port for HTTP and control connections, any number of runs.
// Not a run: everything that is decided is decided in the core.
import type { Socket } from "node:net";
import { assert } from "@manyhands/base/assert";
import { messageOf } from "@manyhands/base/errors";
import Fastify, { type FastifyInstance } from "fastify";
import { DiskError, ListenError } from "../errors.ts";
import { addBlobRoutes } from "./blob-routes.ts";
import { addControlSockets } from "./control-socket.ts";
import { addHistoryRoutes } from "./history-routes.ts";
import type { HostedRun } from "./hosted-run.ts";
import { SERVER_LIMITS, type ServerLimits } from "./limits.ts";
import { addOwnerRoutes, type RunMaker } from "./owner-routes.ts";
import { frontPage } from "./page.ts";
import { addPayRoutes } from "./pay-routes.ts";
import { RunGate } from "./run-gate.ts";
import { addRunRoutes } from "./run-routes.ts";
import { addScoreRoutes } from "./score-routes.ts";
import { openSecureDoor, type SecureDoorOptions } from "./secure-door.ts";
import { addSettlementRoutes } from "./settlement-routes.ts";
import { addStaticPage, readPage } from "./static-page.ts";
import { TrafficMeter } from "./traffic.ts";

export type ServerOptions = {
  /** By run id. The map may grow while the server runs. */
  readonly runs: ReadonlyMap<string, HostedRun>;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** A second port, with TLS. */
  readonly secure?: SecureDoorOptions | undefined;
  /** The worker as a package; without it there is none to download. */
  readonly tarball?: (() => Uint8Array) | undefined;
  /** A folder with the built page; without it there is only a front page that says how to join. */
  readonly page?: string | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
  /** Makes runs that an owner asks for; without it this server hosts what it was given. */
  readonly maker?: RunMaker | undefined;
  /** Milliseconds, never falling: for rates. */
  readonly now: () => number;
};

export type RunningServer = {
  readonly host: string;
  readonly port: number;
  /** http://host:port */
  readonly url: string;
  /** https://host:port, if there is a secure door. */
  readonly secureUrl: string | null;
  readonly meter: TrafficMeter;
  close(): Promise<void>;
};

/** @throws ListenError, PageError */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { runs, host, port, secure, now } = options;
  const limits = { ...SERVER_LIMITS, ...options.limits };
  const meter = new TrafficMeter();
  const app = Fastify({
    logger: false,
    forceCloseConnections: true,
    connectionTimeout: limits.idleMs,
    routerOptions: { maxParamLength: 128 },
    exposeHeadRoutes: false,
  });
  limitConnections(app, limits, meter);
  // Bodies are streams: only the blob route reads one.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  addErrorAnswers(app, options.page);
  const gate = new RunGate(runs, meter);
  addRunRoutes(app, { runs, gate, meter });
  addHistoryRoutes(app, gate);
  addBlobRoutes(app, gate);
  addSettlementRoutes(app, gate);
  addPayRoutes(app, gate);
  addScoreRoutes(app, gate);
  addOwnerRoutes(app, { gate, maker: options.maker });
  addPublicRoutes(app, options);
  const endSockets = addControlSockets(app.server, { runs, meter, limits, now });
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw new ListenError(host, port, error);
  }
  const address = app.server.address();
  assert(address !== null && typeof address === "object", "a listening server has an address");
  const door = secure && (await openSecureDoor(app.server, host, secure).catch(closing(app)));
  return {
    host,
    port: address.port,
    url: urlOf("http", host, address.port),
    secureUrl: door ? urlOf("https", host, door.port) : null,
    meter,
    close: async () => {
      endSockets();
      await door?.close();
      await app.close();
    },
  };
}

/** What fails after the server has opened closes it. */
function closing(app: FastifyInstance): (error: unknown) => Promise<never> {
  return async (error) => {
    await app.close();
    throw error;
  };
}

function urlOf(scheme: "http" | "https", host: string, port: number): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function limitConnections(app: FastifyInstance, limits: ServerLimits, meter: TrafficMeter): void {
  const perAddress = new Map<string, number>();
  app.server.maxConnections = limits.connectionsMax;
  app.server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (perAddress.get(address) ?? 0) + 1;
    if (count > limits.connectionsPerAddressMax) {
      socket.destroy();
      return;
    }
    perAddress.set(address, count);
    socket.once("close", () => {
      const left = (perAddress.get(address) ?? 1) - 1;
      if (left === 0) perAddress.delete(address);
      else perAddress.set(address, left);
    });
    meter.track(socket);
  });
}

function addErrorAnswers(app: FastifyInstance, page: string | undefined): void {
  const navigated = page === undefined ? undefined : addStaticPage(app, readPage(page));
  app.setNotFoundHandler((request, reply) => {
    const answer = navigated?.(request, reply);
    if (answer) return answer;
    reply.header("connection", "close");
    return reply.code(404).send({ code: "http/not-found", message: "there is nothing here" });
  });
  app.setErrorHandler((error: unknown, _request, reply) => {
    if (error instanceof DiskError) {
      return reply.code(503).send({ code: "disk", message: error.message });
    }
    const status = statusInside(error);
    const message = status < 500 ? messageOf(error) : "something failed here";
    return reply.code(status).send({ code: "http/failed", message });
  });
}

/** Fastify's own refusals (a bad URL, a bad method) carry their status. */
function statusInside(error: unknown): number {
  const status: unknown =
    error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
  return typeof status === "number" && status >= 400 && status < 600 ? status : 500;
}

function addPublicRoutes(app: FastifyInstance, { runs, tarball }: ServerOptions): void {
  app.get("/", (request, reply) => {
    const statuses = [...runs.values()].map(({ core }) => core.status());
    reply
      .type("text/html; charset=utf-8")
      .header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
    return frontPage(`${request.protocol}://${request.host}`, statuses);
  });
  app.get("/manyhands.tgz", (_request, reply) => {
    if (!tarball) {
      return reply.code(404).send({ code: "http/not-found", message: "no worker package here" });
    }
    reply.type("application/gzip");
    return reply.send(Buffer.from(tarball()));
  });
}
