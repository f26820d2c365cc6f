// A core on a stage: virtual time, memory for log and blobs, and connections that remember what
// they were told.
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { toHex } from "@manyhands/base/bytes";
import type { RunEvent } from "@manyhands/protocol/events";
import type { Payout } from "@manyhands/protocol/keys";
import type { RoundInfo, ServerMessage, ServerMessageOf } from "@manyhands/protocol/messages";
import { runIdOf } from "@manyhands/protocol/run-config";
import { platformSha256 } from "../blobs/blob-hasher.ts";
import { MemoryBlobs } from "../blobs/memory-blobs.ts";
import type { Connection } from "../core/connection.ts";
import { CoordinatorCore } from "../core/coordinator-core.ts";
import type { Clock, CloseReason, CorePorts } from "../core/ports.ts";
import { verifySignature } from "../keys.ts";
import type { Log } from "../log/log.ts";
import { MemoryLog } from "../log/memory-log.ts";
import { FakeWorker, type MadeUpdate, type MessageOf } from "./fake-worker.ts";
import type { TinyRun } from "./tiny-run.ts";

class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): number {
    return this.#now;
  }

  setTimer(at: number, wake: () => void): () => void {
    const timer = { at, wake };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets time pass; every timer on the way fires at its time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.wake();
    }
    this.#now = end;
  }

  /** Time passes, and no timer fires: the process was held up. */
  holdUp(ms: number): void {
    this.#now += ms;
  }
}

export const TOKEN = "admission";

type StageOptions = {
  readonly tiny: TinyRun;
  readonly log?: Log;
  readonly blobs?: MemoryBlobs;
  readonly checkpointEvery?: number;
};

export class CoreStage {
  readonly clock = new FakeClock();
  readonly events: RunEvent[] = [];
  readonly failures: unknown[] = [];
  readonly tiny: TinyRun;
  readonly runId: string;
  readonly log: Log;
  readonly blobs: MemoryBlobs;
  readonly ports: CorePorts;
  readonly #checkpointEvery: number | undefined;
  core: CoordinatorCore;

  constructor(options: StageOptions) {
    this.tiny = options.tiny;
    this.runId = runIdOf(options.tiny.run);
    const { privateKey } = generateKeyPairSync("ed25519");
    const publicKey = Buffer.from(privateKey.export({ format: "jwk" }).x ?? "", "base64url");
    const signBytes = (bytes: Uint8Array) => toHex(new Uint8Array(sign(null, bytes, privateKey)));
    this.log = options.log ?? new MemoryLog({ runId: this.runId, sign: signBytes });
    this.blobs = options.blobs ?? new MemoryBlobs();
    this.#checkpointEvery = options.checkpointEvery;
    let draws = 0;
    this.ports = {
      clock: this.clock,
      log: this.log,
      blobs: this.blobs,
      authority: { algorithm: "ed25519", bytes: publicKey.toString("hex") },
      sign: signBytes,
      verify: verifySignature,
      randomBytes: (count) => {
        draws += 1;
        return new Uint8Array(
          createHash("shake256", { outputLength: count }).update(`${draws}`).digest(),
        );
      },
      sha256: platformSha256,
    };
    for (const file of options.tiny.files) this.blobs.write(file);
    this.core = this.#start();
  }

  /** As after a kill: what was in memory is gone, log and blobs are there. */
  restart(): void {
    this.core.close();
    this.core = this.#start();
  }

  #start(): CoordinatorCore {
    return new CoordinatorCore({
      ports: this.ports,
      admits: (token) => token === TOKEN,
      create: this.tiny,
      checkpointEvery: this.#checkpointEvery,
      onEvent: (event) => this.events.push(event),
      onFailure: (error) => this.failures.push(error),
    });
  }

  connect(worker = new FakeWorker("nobody")): Actor {
    return new Actor(this, worker);
  }

  /** Connects and joins. */
  join(name: string): Actor {
    const actor = this.connect(new FakeWorker(name));
    actor.joinRun();
    return actor;
  }
}

/** A worker's end of a connection. */
class Actor {
  readonly stage: CoreStage;
  readonly worker: FakeWorker;
  readonly heard: ServerMessage[] = [];
  connection: Connection;
  closed: CloseReason | null = null;

  constructor(stage: CoreStage, worker: FakeWorker) {
    this.stage = stage;
    this.worker = worker;
    this.connection = this.#open();
  }

  #open(): Connection {
    this.closed = null;
    return this.stage.core.connect({
      send: (message) => this.heard.push(message),
      close: (reason) => {
        this.closed = reason;
      },
    });
  }

  reconnect(payout: Payout | null = null): void {
    this.stage.core.disconnect(this.connection);
    this.heard.length = 0;
    this.connection = this.#open();
    this.joinRun(payout);
  }

  say(message: Parameters<CoordinatorCore["receive"]>[1]): void {
    this.stage.core.receive(this.connection, message);
  }

  joinRun(payout: Payout | null = null): void {
    this.say(this.worker.hello(TOKEN));
    const { challenge } = this.told("challenge");
    this.say(this.worker.joinMessage(this.stage.runId, challenge, payout));
  }

  /** The newest message of a type. */
  told<T extends ServerMessage["type"]>(type: T): ServerMessageOf<T> {
    const found = this.heard.findLast((message) => message.type === type);
    if (!found) throw new Error(`${this.worker.name} was told no ${type}: ${this.kinds()}`);
    return found as ServerMessageOf<T>;
  }

  kinds(): string {
    return this.heard.map(({ type }) => type).join(" ");
  }

  /** The open round with this worker's part, from `round` or `welcome`. */
  info(): RoundInfo {
    const round = this.heard.findLast(({ type }) => type === "round" || type === "welcome");
    if (round?.type === "round") {
      const { type: _, ...info } = round;
      return info;
    }
    if (round?.type === "welcome" && round.current) return round.current;
    throw new Error(`${this.worker.name} knows of no round: ${this.kinds()}`);
  }

  /** Makes an update for the open round and uploads it, as over HTTP. */
  upload(seed: number): MadeUpdate {
    const made = this.worker.update(this.stage.tiny.run, this.info(), seed);
    this.put(made.bytes, made.update.updateRoot);
    return made;
  }

  put(bytes: Uint8Array, root: string): void {
    const { core, blobs } = this.stage;
    const { workerId } = this.worker;
    const reserved = core.reserveUpload({ workerId, root, byteLength: bytes.length });
    if (!reserved.ok) throw new Error(reserved.error.code);
    blobs.write(bytes);
    core.settleUpload(reserved.value, true);
  }

  commit(made: MadeUpdate): MessageOf<"commit"> {
    const message = this.worker.commit(this.stage.runId, made.update);
    this.say(message);
    return message;
  }

  /** One honest update: trained, uploaded, committed. */
  contribute(seed: number): MadeUpdate {
    const made = this.upload(seed);
    this.commit(made);
    return made;
  }
}
