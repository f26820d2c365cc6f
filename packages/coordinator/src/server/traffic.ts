// Bytes at the server's sockets, everything on top of TCP counted, and whose they were. Not a limit
// on anybody.
import type { Socket } from "node:net";
import type { Json } from "@manyhands/base/canonical";
import { type Decoded, hex, integer, list, object } from "@manyhands/base/decode";
import type { WorkerId } from "@manyhands/protocol/keys";
import { WORKERS_MAX } from "@manyhands/protocol/limits";
import type { Traffic, TrafficByWorker } from "../status.ts";

const bytes = { bytesUp: integer(0), bytesDown: integer(0) } as const;
const trafficDecoder = object({
  ...bytes,
  workers: list(object({ workerId: hex(32), ...bytes }), { max: WORKERS_MAX }),
});
type TrafficRecord = Decoded<typeof trafficDecoder>;

const NONE: Traffic = { bytesUp: 0, bytesDown: 0 };

/** The account of one run: totals, and each worker's part. */
export class RunTraffic {
  #total: Traffic = NONE;
  readonly #workers = new Map<WorkerId, Traffic>();

  /** Goes on with the totals that a former process stored; anything else is left aside. */
  constructor(stored: Json | null = null) {
    const decoded = trafficDecoder(stored);
    if (!decoded.ok) return;
    const { bytesUp, bytesDown, workers } = decoded.value;
    this.#total = { bytesUp, bytesDown };
    for (const { workerId, ...part } of workers) this.#workers.set(workerId, part);
  }

  add(workerId: WorkerId | null, part: Traffic): void {
    this.#total = sum(this.#total, part);
    if (workerId !== null) {
      this.#workers.set(workerId, sum(this.#workers.get(workerId) ?? NONE, part));
    }
  }

  totals(): TrafficByWorker {
    return { total: this.#total, workers: this.#workers };
  }

  /** For the log's side value. */
  record(): TrafficRecord {
    const workers = [...this.#workers].map(([workerId, part]) => ({ workerId, ...part }));
    return { ...this.#total, workers };
  }
}

function sum(a: Traffic, b: Traffic): Traffic {
  return { bytesUp: a.bytesUp + b.bytesUp, bytesDown: a.bytesDown + b.bytesDown };
}

type Tracked = { counted: Traffic; account: RunTraffic | null; workerId: WorkerId | null };

/**
 * Follows every socket of a server; bytes wait on their socket until it is known whose they are.
 */
export class TrafficMeter {
  readonly #sockets = new Map<Socket, Tracked>();

  track(socket: Socket): void {
    this.#sockets.set(socket, { counted: NONE, account: null, workerId: null });
    socket.once("close", () => {
      this.#settle(socket);
      this.#sockets.delete(socket);
    });
  }

  /** From here on, and for what has not been counted yet, the socket's bytes are this worker's. */
  attribute(socket: Socket, account: RunTraffic, workerId: WorkerId | null): void {
    const tracked = this.#sockets.get(socket);
    if (!tracked || (tracked.account === account && tracked.workerId === workerId)) return;
    // Someone who is nobody yet (a hello, a request without a session) may turn out to be a worker.
    if (tracked.workerId !== null) this.#settle(socket);
    tracked.account = account;
    tracked.workerId = workerId ?? tracked.workerId;
  }

  /** Counts what has passed since the last time. */
  settleAll(): void {
    for (const [socket, { workerId }] of this.#sockets) {
      if (workerId !== null) this.#settle(socket);
    }
  }

  #settle(socket: Socket): void {
    const tracked = this.#sockets.get(socket);
    if (!tracked?.account) return;
    const { bytesRead: bytesUp, bytesWritten: bytesDown } = socket;
    const { counted, account, workerId } = tracked;
    account.add(workerId, {
      bytesUp: bytesUp - counted.bytesUp,
      bytesDown: bytesDown - counted.bytesDown,
    });
    tracked.counted = { bytesUp, bytesDown };
  }
}
