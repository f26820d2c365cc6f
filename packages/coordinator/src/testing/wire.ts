// A coordinator on loopback with a folder of its own, and workers that reach it over real sockets.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { RoundInfo, ServerMessage, ServerMessageOf } from "@manyhands/protocol/messages";
import { WebSocket } from "ws";
import { type Coordinator, type CoordinatorOptions, startCoordinator } from "../serve.ts";
import { FakeWorker, type MadeUpdate } from "./fake-worker.ts";
import { type TinyRun, tinyRun } from "./tiny-run.ts";

const cleanups = new WeakMap<TestContext, (() => unknown)[]>();

/** As t.after, but last in is first out: what uses a folder ends before the folder. */
function afterwards(t: TestContext, cleanup: () => unknown): void {
  const stack = cleanups.get(t) ?? [];
  stack.push(cleanup);
  if (cleanups.has(t)) return;
  cleanups.set(t, stack);
  t.after(async () => {
    for (const next of stack.reverse()) await next();
  });
}

/** A folder that goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-"));
  afterwards(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export type Started = { readonly coordinator: Coordinator; readonly tiny: TinyRun };

/** Ends with the test, if the test does not end it before. */
export async function startTiny(
  t: TestContext,
  options: Partial<CoordinatorOptions> & { readonly tiny?: TinyRun } = {},
): Promise<Started> {
  const tiny = options.tiny ?? tinyRun();
  const runFolder = options.runFolder ?? temporaryFolder(t);
  const coordinator = await startCoordinator({ create: tiny, ...options, runFolder });
  afterwards(t, () => coordinator.close());
  return { coordinator, tiny };
}

export type Closed = { readonly code: number; readonly reason: string };

/** A control connection that keeps what it was sent, and lets a test wait for it. */
export class Wire {
  readonly socket: WebSocket;
  readonly heard: ServerMessage[] = [];
  readonly closed: Promise<Closed>;
  #waiting: (() => void)[] = [];
  #over = false;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => {
      this.heard.push(JSON.parse(String(data)));
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#over = true;
        this.#wake();
        resolve({ code, reason: String(reason) });
      });
    });
    // The close event follows, and says what there is to say.
    socket.on("error", () => undefined);
  }

  static async open(coordinator: Pick<Coordinator, "runUrl">, t: TestContext): Promise<Wire> {
    const socket = new WebSocket(`${coordinator.runUrl.replace("http", "ws")}/socket`);
    const wire = new Wire(socket);
    afterwards(t, () => socket.terminate());
    await new Promise<void>((resolve, reject) => {
      socket.once("open", () => resolve());
      socket.once("error", reject);
    });
    return wire;
  }

  say(message: unknown): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** The next message of a type, from the `from`-th message on. */
  async next<T extends ServerMessage["type"]>(type: T, from = 0): Promise<ServerMessageOf<T>> {
    for (;;) {
      const found = this.heard.slice(from).find((message) => message.type === type);
      if (found) return found as ServerMessageOf<T>;
      if (this.#over) throw new Error(`closed before ${type}: ${JSON.stringify(this.heard)}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** A worker on the wire: joined, with its session. */
export class WireWorker {
  readonly worker: FakeWorker;
  readonly wire: Wire;
  readonly coordinator: Coordinator;
  readonly welcome: ServerMessageOf<"welcome">;

  private constructor(parts: {
    readonly worker: FakeWorker;
    readonly wire: Wire;
    readonly coordinator: Coordinator;
    readonly welcome: ServerMessageOf<"welcome">;
  }) {
    this.worker = parts.worker;
    this.wire = parts.wire;
    this.coordinator = parts.coordinator;
    this.welcome = parts.welcome;
  }

  static async join(
    coordinator: Coordinator,
    t: TestContext,
    worker = new FakeWorker("ada"),
  ): Promise<WireWorker> {
    const wire = await Wire.open(coordinator, t);
    wire.say(worker.hello(coordinator.admissionToken));
    const { challenge } = await wire.next("challenge");
    wire.say(worker.joinMessage(coordinator.runId, challenge));
    const welcome = await wire.next("welcome");
    return new WireWorker({ worker, wire, coordinator, welcome });
  }

  get authorization(): { readonly authorization: string } {
    return { authorization: `Bearer ${this.welcome.session}` };
  }

  async put(bytes: Uint8Array, root: string): Promise<Response> {
    return fetch(`${this.coordinator.runUrl}/blobs/${root}`, {
      method: "PUT",
      headers: this.authorization,
      body: Buffer.from(bytes),
    });
  }

  /** The round after the `from`-th message on. */
  async round(from = 0): Promise<RoundInfo> {
    if (from === 0 && this.welcome.current) return this.welcome.current;
    const { type: _, ...info } = await this.wire.next("round", from);
    return info;
  }

  /** One honest update of a round. @returns it, after its receipt */
  async contribute(info: RoundInfo, seed: number): Promise<MadeUpdate> {
    const made = this.worker.update(this.welcome.run, info, seed);
    const stored = await this.put(made.bytes, made.update.updateRoot);
    if (!stored.ok) throw new Error(`PUT: ${stored.status} ${await stored.text()}`);
    const from = this.wire.heard.length;
    this.wire.say(this.worker.commit(this.coordinator.runId, made.update));
    await this.wire.next("receipt", from);
    return made;
  }

  /** Contributes to every round until the run is finished. */
  async contributeToEnd(): Promise<void> {
    let from = 0;
    let seed = 0;
    for (;;) {
      const at = this.wire.heard
        .slice(from)
        .findIndex(({ type }) => type === "round" || type === "finished");
      const message = at < 0 ? null : this.wire.heard[from + at];
      if (message?.type === "finished") return;
      if (message?.type === "round") {
        from += at + 1;
        seed += 1;
        const { type: _, ...info } = message;
        await this.contribute(info, seed);
      } else {
        await Promise.race([this.wire.next("round", from), this.wire.next("finished", from)]);
      }
    }
  }
}
