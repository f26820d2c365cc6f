// A worker as a process: the real host and core, on a device that crashes, loses its network, is
// slow or told to leave. Its disk survives, but perhaps not what was being written at the time.

import { assert, defined } from "@manyhands/base/assert";
import { concatBytes } from "@manyhands/base/bytes";
import type { Json } from "@manyhands/base/canonical";
import { canonicalJson } from "@manyhands/base/canonical";
import { BlobClient } from "@manyhands/net/blob-client";
import { workerIdOf } from "@manyhands/protocol/keys";
import type { ServerMessageOf } from "@manyhands/protocol/messages";
import type { RunId } from "@manyhands/protocol/run-config";
import { storedUpdateDecoder } from "@manyhands/worker/core/stored";
import type { Identity, WorkerEnd } from "@manyhands/worker/core/types";
import { WorkerHost } from "@manyhands/worker/host/host";
import type { ApiPort, RunFiles, StateFile, WorkerPorts } from "@manyhands/worker/host/ports";
import type { Auditor } from "./auditor.ts";
import { ADMISSION_TOKEN } from "./coordinator-process.ts";
import { hashOf, type KeyPair } from "./keys.ts";
import type { Network, Place } from "./network.ts";
import { BowlCompute, hash } from "./task.ts";
import type { Life } from "./virtual-time.ts";
import type { Chance, World } from "./world.ts";

const JSON_BYTES_MAX = 1_000_000;
/** Ends that an honest worker in a sound swarm can meet. */
const GOOD_ENDS: ReadonlySet<string> = new Set(["finished", "run-finished", "stopped"]);

type Kept = { readonly header: string; readonly payload: Uint8Array };

export type WorkerOptions = {
  readonly world: World;
  readonly network: Network;
  readonly auditor: Auditor;
  readonly chance: Chance;
  readonly name: string;
  readonly keys: KeyPair;
  readonly runId: RunId;
  /** Mean time of an inner step. */
  readonly stepMs: number;
};

export class WorkerProcess {
  readonly name: string;
  readonly identity: Identity;
  readonly #options: WorkerOptions;
  readonly #disk = new Map<StateFile, Kept>();
  readonly receipts: ServerMessageOf<"receipt">[] = [];
  /** What a crash may or may not still bring to the disk. */
  #writing: (() => void) | null = null;
  #life: Life = { alive: false };
  #host: WorkerHost | null = null;
  #place: Place | null = null;
  /** How it ended the last time, if it did by itself. */
  end: WorkerEnd | null = null;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.name = options.name;
    const { key, sign } = options.keys;
    this.identity = {
      workerId: workerIdOf(key),
      signingKey: key,
      exchangeKey: { algorithm: "x25519", bytes: hashOf(`exchange key of ${options.name}`) },
      sign,
    };
  }

  get running(): boolean {
    return this.#life.alive;
  }

  get keepsUpdate(): boolean {
    return this.#disk.has("update");
  }

  get tokensGiven(): number {
    const kept = this.#disk.get("residual");
    if (!kept) return 0;
    return (JSON.parse(kept.header) as { tokensGiven: number }).tokensGiven;
  }

  statusText(): string {
    return this.#host?.status().phase ?? "not started";
  }

  start(): void {
    const { world, name } = { ...this.#options };
    if (this.#life.alive || this.end?.reason === "finished") return;
    const life: Life = { alive: true };
    const place: Place = { name, silentUntil: 0, life };
    this.#life = life;
    this.#place = place;
    this.end = null;
    world.trace(name, "starts");
    world.count("worker starts");
    const host = new WorkerHost({
      config: {
        runId: this.#options.runId,
        token: ADMISSION_TOKEN,
        name,
        identity: this.identity,
        verify: this.#options.keys.verify,
        numerics: "reference",
        seed: this.#options.chance.between(0, 2 ** 31),
      },
      ports: this.#ports(life, place),
      events: { onNotice: (sentence) => world.trace(name, sentence) },
    });
    this.#host = host;
    host.ended.then(
      (end) => this.#ended(life, end),
      (bug: unknown) => world.failFrom(name, bug),
    );
    host.start();
  }

  #ended(life: Life, end: WorkerEnd): void {
    if (!life.alive) return;
    const { world } = this.#options;
    life.alive = false;
    this.end = end;
    world.trace(this.name, `ended: ${end.reason}`);
    world.count(`ends: ${end.reason}`);
    if (!GOOD_ENDS.has(end.reason)) {
      world.fail(`${this.name} is honest, and ended with ${end.reason}: ${end.sentence}`);
    }
  }

  crash(): void {
    if (!this.#life.alive) return;
    const { world, network, chance } = this.#options;
    world.trace(this.name, `crashes (${this.statusText()})`);
    world.count("worker crashes");
    this.#life.alive = false;
    if (this.#writing && chance.happens(0.5)) this.#writing();
    this.#writing = null;
    network.cutAllOf(defined(this.#place, "a running worker has its place"));
  }

  /** Asked to stop, as by Ctrl-C. */
  leave(): void {
    if (!this.#life.alive) return;
    this.#options.world.trace(this.name, "is asked to leave");
    this.#options.world.count("polite leaves");
    this.#host?.stop("graceful");
  }

  /** No packet reaches it for a while. */
  silence(ms: number): void {
    if (!this.#place || !this.#life.alive) return;
    this.#options.world.trace(this.name, `is cut off for ${ms} ms`);
    this.#options.world.count("silences");
    this.#place.silentUntil = this.#options.world.time.now() + ms;
  }

  #ports(life: Life, place: Place): WorkerPorts {
    const { world, network, auditor } = this.#options;
    const sleep = (ms: number): Promise<void> => world.time.sleepIn(life, ms);
    return {
      link: { open: (events) => network.open(place, events) },
      api: this.#api(place, sleep),
      compute: new BowlCompute({
        sleep,
        stepMs: () => this.#stepMs(),
        onBase: (weights) => {
          if (life.alive) auditor.base(weights, this.#host?.status().round ?? null, this.name);
        },
      }),
      files: this.#files(life, sleep),
      timers: {
        now: () => world.time.now(),
        set: (ms, call) => world.time.afterIn(life, ms, call),
      },
      hash,
    };
  }

  #keptUpdate(header: Json): void {
    const kept = storedUpdateDecoder(header);
    assert(kept.ok, "what the worker keeps has its form");
    this.#options.auditor.built(this.identity.workerId, kept.value.update);
  }

  #stepMs(): number {
    const { stepMs, chance } = this.#options;
    return Math.max(1, Math.round(stepMs * (0.8 + 0.4 * chance.unit())));
  }

  #api(place: Place, sleep: (ms: number) => Promise<void>): ApiPort {
    const { network, chance } = this.#options;
    let session: string | null = null;
    const client = new BlobClient({
      runUrl: "sim:",
      send: (request) => network.send(place, request),
      hash,
      bearer: () => session,
      sleep,
      unit: () => chance.unit(),
    });
    return {
      setSession: (token) => {
        session = token;
      },
      blob: ({ root, byteLength }, signal) => client.get(root, byteLength, signal),
      put: (root, bytes, signal) => client.put(root, bytes, signal),
      rounds: (from, signal) => client.json(`/rounds?from=${from}`, JSON_BYTES_MAX, signal),
    };
  }

  #files(life: Life, sleep: (ms: number) => Promise<void>): RunFiles {
    const { chance } = this.#options;
    const durably = async (write: () => void): Promise<void> => {
      this.#writing = write;
      await sleep(chance.between(1, 20));
      if (!life.alive) return;
      this.#writing = null;
      write();
    };
    return {
      read: async (file) => {
        await sleep(1);
        const kept = this.#disk.get(file);
        return kept
          ? { header: JSON.parse(kept.header) as unknown, payload: kept.payload.slice() }
          : null;
      },
      write: (file: StateFile, header: Json, parts: readonly Uint8Array[]) => {
        const kept = { header: canonicalJson(header), payload: concatBytes(...parts) };
        return durably(() => {
          this.#disk.set(file, kept);
          if (file === "update") this.#keptUpdate(header);
        });
      },
      remove: (file) => durably(() => this.#disk.delete(file)),
      addReceipt: (receipt) =>
        durably(() => this.receipts.push(receipt as unknown as ServerMessageOf<"receipt">)),
    };
  }
}
