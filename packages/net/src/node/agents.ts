// HTTP agents whose sockets are counted. Every connection that a worker opens goes through one of
// these. Not shared between workers: each has its own meter.
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { ByteMeter } from "../byte-meter.ts";

export type MeteredAgents = {
  readonly http: http.Agent;
  readonly https: https.Agent;
  close(): void;
};

const KEEP_ALIVE = { keepAlive: true, keepAliveMsecs: 10_000, maxSockets: 4 } as const;

/** Agents for one peer. A TLS socket counts what it carries, without TLS's own framing. */
export function meteredAgents(meter: ByteMeter): MeteredAgents {
  const plain = metered(new http.Agent(KEEP_ALIVE), meter);
  const secure = metered(new https.Agent(KEEP_ALIVE), meter);
  return {
    http: plain,
    https: secure,
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

function metered<A extends http.Agent>(agent: A, meter: ByteMeter): A {
  const create = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const socket = create(options, callback);
    if (socket) meter.track(socket as Socket);
    return socket;
  };
  return agent;
}
