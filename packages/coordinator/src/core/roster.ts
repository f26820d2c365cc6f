// Who is connected: every control connection, which worker it is, and how often it was refused.
// Not who takes part: that is in the run's state, and outlives a connection.
import type { WorkerId } from "@manyhands/protocol/keys";
import type { ServerMessage } from "@manyhands/protocol/messages";
import type { Reject } from "@manyhands/protocol/rejects";
import { Connection, REJECTS_PER_CONNECTION_MAX } from "./connection.ts";
import type { CloseReason, Peer } from "./ports.ts";

const REASON_CHARS_MAX = 1_024;

export class Roster {
  readonly #connections = new Set<Connection>();
  readonly #joined = new Map<WorkerId, Connection>();
  readonly #rejects = new Map<string, number>();

  get rejects(): ReadonlyMap<string, number> {
    return this.#rejects;
  }

  connected(): ReadonlySet<WorkerId> {
    return new Set(this.#joined.keys());
  }

  add(peer: Peer): Connection {
    const connection = new Connection(peer);
    this.#connections.add(connection);
    return connection;
  }

  /** This connection is the worker's from now on; an older one ends. */
  seat(connection: Connection, workerId: WorkerId): void {
    const older = this.#joined.get(workerId);
    if (older) this.end(older, "replaced");
    connection.progress = { kind: "joined", workerId };
    this.#joined.set(workerId, connection);
  }

  /** The connection is gone. */
  remove(connection: Connection): void {
    connection.open = false;
    this.#connections.delete(connection);
    const { workerId } = connection;
    if (workerId !== null && this.#joined.get(workerId) === connection) {
      this.#joined.delete(workerId);
    }
  }

  end(connection: Connection, reason: CloseReason): void {
    if (!connection.open) return;
    this.remove(connection);
    connection.peer.close(reason);
  }

  endWorker(workerId: WorkerId, reason: CloseReason): void {
    const connection = this.#joined.get(workerId);
    if (connection) this.end(connection, reason);
  }

  endAll(reason: CloseReason): void {
    for (const connection of [...this.#connections]) this.end(connection, reason);
  }

  /** To a worker, if it is connected now. */
  send(workerId: WorkerId, message: ServerMessage): void {
    this.#joined.get(workerId)?.peer.send(message);
  }

  broadcast(message: ServerMessage): void {
    for (const connection of this.#joined.values()) connection.peer.send(message);
  }

  /** Tells a peer that what it sent is refused; after too many refusals it is let go. */
  refuse(connection: Connection, refused: Reject, round: number | null): void {
    if (!connection.open) return;
    this.count(refused.code);
    connection.rejects += 1;
    const message = refused.message.slice(0, REASON_CHARS_MAX).toWellFormed();
    connection.peer.send({ type: "reject", code: refused.code, message, round });
    if (connection.rejects >= REJECTS_PER_CONNECTION_MAX) this.end(connection, "refused");
  }

  count(code: string): void {
    this.#rejects.set(code, (this.#rejects.get(code) ?? 0) + 1);
  }
}
