// The coordinator of one run, without sockets and files: admits workers, takes their commitments,
// lets the run go on. Every entry is one step in time; the simulator calls it under virtual time
// with ports in memory.
import { assert, unreachable } from "@manyhands/base/assert";
import { toHex } from "@manyhands/base/bytes";
import { canonicalHash } from "@manyhands/base/canonical";
import { ok, type Result } from "@manyhands/base/result";
import type { EventOf, RunEvent } from "@manyhands/protocol/events";
import type { WorkerId } from "@manyhands/protocol/keys";
import { CLOSED_ROUNDS_MAX } from "@manyhands/protocol/limits";
import type { ClientMessage, ClosedRound } from "@manyhands/protocol/messages";
import { type Reject, reject } from "@manyhands/protocol/rejects";
import type { Effect, RunState, Transition } from "@manyhands/protocol/state";
import { replay } from "@manyhands/protocol/step";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import type { History } from "../history.ts";
import {
  type Heartbeat,
  NO_TRAFFIC,
  type RunStatus,
  statusOf,
  type TrafficByWorker,
} from "../status.ts";
import { type Commit, checkCommit } from "./commits.ts";
import {
  type Connection,
  checkHello,
  checkJoin,
  type Hello,
  type JoinMessage,
} from "./connection.ts";
import type { CoreOptions } from "./core-options.ts";
import { Leases } from "./leases.ts";
import type { CorePorts, Peer } from "./ports.ts";
import { Pulse } from "./pulse.ts";
import { Roster } from "./roster.ts";
import { RunDriver } from "./run-driver.ts";
import { Sessions } from "./sessions.ts";
import type { Reservation } from "./uploads.ts";
import { welcomeFor } from "./welcome.ts";

const CHECKPOINT_EVERY = 10;

export class CoordinatorCore {
  readonly #options: CoreOptions;
  readonly #ports: CorePorts;
  readonly #driver: RunDriver;
  readonly #leases: Leases;
  readonly #sessions = new Sessions();
  readonly #roster = new Roster();
  readonly #heartbeats = new Map<WorkerId, Heartbeat>();
  readonly #pulse: Pulse;

  /**
   * Continues or begins the run, and goes on with whatever is due.
   *
   * @throws CorruptLogError, RunFolderError, DiskError
   */
  constructor(options: CoreOptions) {
    this.#options = options;
    this.#ports = options.ports;
    const checkpointEvery = options.checkpointEvery ?? CHECKPOINT_EVERY;
    assert(
      checkpointEvery >= 1 && checkpointEvery <= CLOSED_ROUNDS_MAX,
      `a checkpoint every 1 to ${CLOSED_ROUNDS_MAX} rounds, found ${checkpointEvery}`,
    );
    this.#driver = RunDriver.open({
      ports: options.ports,
      create: options.create,
      checkpointEvery,
    });
    this.#driver.onAppended = (event, transition) => this.#deliver(event, transition);
    this.#pulse = new Pulse({
      clock: options.ports.clock,
      work: () => this.#doWhatIsDue(),
      onFailure: (error) => {
        this.close();
        options.onFailure?.(error);
      },
    });
    this.#leases = new Leases(this.state.run.rounds.leaseMs);
    // Nobody could be heard while no process listened: everybody who was here gets a fresh lease.
    for (const worker of this.state.workers.values()) {
      if (worker.active) this.#leases.renew(worker.workerId, this.#driver.now());
    }
    this.#pulse.goOn();
  }

  get state(): RunState {
    return this.#driver.state;
  }

  get history(): History {
    return this.#driver.ledger.history;
  }

  get closedRows(): readonly number[] {
    return this.#driver.ledger.closedRows;
  }

  /** The shared weights after the rounds closed so far; not to be written to. */
  get weights(): Float32Array {
    return this.#driver.weights;
  }

  status(traffic: TrafficByWorker = NO_TRAFFIC): RunStatus {
    const live = {
      heartbeats: this.#heartbeats,
      connected: this.#roster.connected(),
      rejects: this.#roster.rejects,
      wish: this.#driver.wish,
      trouble: this.#pulse.trouble,
    };
    return statusOf(this.state, this.history, live, traffic);
  }

  /** Closed rounds from a number on. */
  closedRounds(from: number, limit: number): readonly ClosedRound[] {
    return this.#driver.ledger.closed.slice(from, from + limit);
  }

  // Connections.

  connect(peer: Peer): Connection {
    const connection = this.#roster.add(peer);
    if (!this.#pulse.running) this.#roster.end(connection, "broken");
    return connection;
  }

  disconnect(connection: Connection): void {
    this.#roster.remove(connection);
  }

  receive(connection: Connection, message: ClientMessage): void {
    if (!connection.open) return;
    const done = this.#pulse.guarded(() => {
      const { workerId } = connection;
      if (workerId !== null) this.#leases.renew(workerId, this.#driver.now());
      this.#dispatch(connection, message);
    });
    // Nothing was answered, so the worker comes back and asks again.
    if (!done) this.#roster.end(connection, "broken");
  }

  /** Tells a peer that what it sent is refused; after too many refusals it is let go. */
  refuse(connection: Connection, refused: Reject, round: number | null = null): void {
    this.#roster.refuse(connection, refused, round);
  }

  countReject(code: string): void {
    this.#roster.count(code);
  }

  // The owner.

  pause(): void {
    this.#wishFor("pause");
  }

  stop(): void {
    this.#wishFor("stop");
  }

  resume(): void {
    this.#pulse.guarded(() => this.#driver.resume());
    this.#pulse.goOn();
  }

  // Blobs.

  workerOfSession(session: string): WorkerId | null {
    return this.#sessions.workerOf(session);
  }

  readable(root: string): Result<null, Reject> {
    return this.#driver.ledger.uploads.readable(root);
  }

  /** A place for an upload of a worker; it has to be settled. */
  reserveUpload(reservation: Reservation): Result<Reservation, Reject> {
    this.touch(reservation.workerId);
    return this.#driver.ledger.uploads.reserve(reservation);
  }

  settleUpload(reservation: Reservation, kept: boolean): void {
    this.touch(reservation.workerId);
    this.#driver.ledger.uploads.settle(reservation, kept, this.state.roundsClosed);
  }

  /** A worker was heard of: by a request, or while its bytes arrive. */
  touch(workerId: WorkerId): void {
    if (this.state.workers.get(workerId)?.active) {
      this.#leases.renew(workerId, this.#driver.now());
    }
  }

  /** Ends the hosting: no timer, no connection. The run itself goes on with the next process. */
  close(): void {
    this.#pulse.stop();
    this.#roster.endAll("broken");
  }

  // Messages.

  #dispatch(connection: Connection, message: ClientMessage): void {
    switch (message.type) {
      case "hello":
        this.#hello(connection, message);
        break;
      case "join":
        this.#join(connection, message);
        break;
      case "commit":
        this.#commit(connection, message);
        break;
      case "heartbeat":
        if (connection.workerId === null) this.#outOfOrder(connection, message);
        else this.#heartbeats.set(connection.workerId, message);
        break;
      case "leave":
        if (connection.workerId === null) this.#outOfOrder(connection, message);
        else this.#part(connection.workerId, "left");
        this.#pulse.goOn();
        break;
      default:
        unreachable(message);
    }
  }

  #outOfOrder(connection: Connection, message: ClientMessage): void {
    const { kind } = connection.progress;
    const text = `${message.type} does not fit a connection that is ${kind}`;
    this.refuse(connection, reject("message/out-of-order", text));
  }

  #hello(connection: Connection, hello: Hello): void {
    if (connection.progress.kind !== "new") {
      this.#outOfOrder(connection, hello);
      return;
    }
    const { runId } = this.state;
    const greeted = checkHello(hello, { runId, admits: this.#options.admits });
    if (!greeted.ok) {
      this.#refuseAndEnd(connection, greeted.error);
      return;
    }
    const challenge = toHex(this.#ports.randomBytes(32));
    connection.progress = { kind: "greeted", challenge };
    connection.peer.send({
      type: "challenge",
      protocolVersion: PROTOCOL_VERSION,
      kernelSet: KERNEL_SET,
      runId,
      challenge,
    });
  }

  #join(connection: Connection, message: JoinMessage): void {
    const { progress } = connection;
    if (progress.kind !== "greeted") {
      this.#outOfOrder(connection, message);
      return;
    }
    const admitted = this.#admit(message, progress.challenge);
    if (!admitted.ok) {
      this.#refuseAndEnd(connection, admitted.error);
      return;
    }
    const workerId = admitted.value;
    this.#roster.seat(connection, workerId);
    this.#leases.renew(workerId, this.#driver.now());
    const session = toHex(this.#ports.randomBytes(32));
    this.#sessions.add(session, workerId);
    connection.peer.send(welcomeFor(workerId, session, this.#driver));
    const { finishReason, stateRoot } = this.state;
    if (finishReason !== null) {
      connection.peer.send({ type: "finished", reason: finishReason, stateRoot });
    }
    this.#pulse.goOn();
  }

  #admit(message: JoinMessage, challenge: string): Result<WorkerId, Reject> {
    const { runId } = this.state;
    const joined = checkJoin(message, { runId, challenge, verify: this.#ports.verify });
    if (!joined.ok) return joined;
    const { join, workerId } = joined.value;
    const tick = this.#driver.now();
    const { signature } = message;
    const recorded = this.#record(
      { type: "WorkerJoined", tick, join, challenge, signature },
      workerId,
    );
    return recorded.ok ? ok(workerId) : recorded;
  }

  /** Puts a worker on record as active, unless it is so already with the same join. */
  #record(event: EventOf<"WorkerJoined">, workerId: WorkerId): Result<null, Reject> {
    const known = this.state.workers.get(workerId);
    if (known?.active) {
      const same = canonicalHash(known.join) === canonicalHash(event.join);
      if (same || this.state.phase === "finished") return ok(null);
      const leaving = { type: "WorkerLeft", tick: event.tick, workerId, reason: "left" } as const;
      // A worker whose new join is refused has not left.
      const tried = replay(this.state, [leaving, event]);
      if (!tried.ok) return tried;
      const left = this.#driver.propose(leaving);
      if (!left.ok) return left;
    }
    const joined = this.#driver.propose(event);
    return joined.ok ? ok(null) : joined;
  }

  /** The receipt goes out when the event is durable, not before. */
  #commit(connection: Connection, message: Commit): void {
    const { workerId } = connection;
    if (workerId === null) {
      this.#outOfOrder(connection, message);
      return;
    }
    const { round } = message.update;
    const checked = checkCommit(workerId, message, { driver: this.#driver, ports: this.#ports });
    if (!checked.ok) {
      this.refuse(connection, checked.error, round);
      return;
    }
    if (checked.value.kind === "again") {
      connection.peer.send(checked.value.receipt);
      return;
    }
    const accepted = this.#driver.propose(checked.value.event);
    if (!accepted.ok) this.refuse(connection, accepted.error, round);
    this.#pulse.goOn();
  }

  // Time.

  /** @returns the clock's time of what is due next */
  #doWhatIsDue(): number | null {
    this.#expireLeases();
    const wakeAt = this.#driver.drive();
    const leaseEnd = this.state.phase === "finished" ? null : this.#leases.nextEnd();
    const due = [wakeAt, leaseEnd].filter((tick) => tick !== null);
    return due.length === 0 ? null : this.#driver.clockAt(Math.min(...due));
  }

  #expireLeases(): void {
    if (this.state.phase === "finished") return;
    for (const workerId of this.#leases.expired(this.#driver.now()))
      this.#part(workerId, "expired");
  }

  /** A worker is no longer here. Its connection ends with it. */
  #part(workerId: WorkerId, reason: "left" | "expired"): void {
    if (this.state.phase !== "finished" && this.state.workers.get(workerId)?.active) {
      const tick = this.#driver.now();
      const left = this.#driver.propose({ type: "WorkerLeft", tick, workerId, reason });
      assert(left.ok, "an active worker of an unfinished run can leave");
    }
    this.#leases.end(workerId);
    this.#sessions.end(workerId);
    this.#heartbeats.delete(workerId);
    this.#roster.endWorker(workerId, reason);
  }

  #wishFor(wish: "pause" | "stop"): void {
    this.#driver.wishFor(wish);
    this.#pulse.goOn();
  }

  // Answers.

  #deliver(event: RunEvent, transition: Transition): void {
    for (const effect of transition.effects) this.#send(effect);
    this.#options.onEvent?.(event, transition.state);
  }

  #send(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        this.#roster.send(effect.to, effect.message);
        break;
      case "broadcast":
        this.#roster.broadcast(effect.message);
        break;
      case "receipt": {
        const { round } = effect.commitment.update;
        const receipt = this.#driver.ledger.receipts.of(effect.to, round);
        if (receipt) this.#roster.send(effect.to, receipt);
        break;
      }
      default:
        unreachable(effect);
    }
  }

  #refuseAndEnd(connection: Connection, refused: Reject): void {
    this.refuse(connection, refused);
    this.#roster.end(connection, "refused");
  }
}
