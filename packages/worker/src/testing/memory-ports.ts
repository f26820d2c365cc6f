// Ports of a worker in memory, for tests: files that can fail, timers by hand, a compute that adds.
// Not a simulator: time does not pass and nothing is lost by itself.
import { setImmediate } from "node:timers/promises";
import type { Json } from "@manyhands/base/canonical";
import { ManyhandsError } from "@manyhands/base/errors";
import type { TextSocketEvents } from "@manyhands/net/text-socket";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type {
  ApiPort,
  BlobWanted,
  ComputePort,
  LinkPort,
  OptimizerArrays,
  ReadFile,
  RunFiles,
  StateFile,
  TrainReport,
  TrainRequest,
  WorkerTimers,
} from "../host/ports.ts";

/** Stands for SIGKILL: the operation that meets it, and all later ones, do not happen. */
export class Crash extends ManyhandsError {
  override readonly name = "Crash";
}

export class MemoryFiles implements RunFiles {
  readonly kept = new Map<StateFile, { header: string; payload: Uint8Array }>();
  readonly receipts: Json[] = [];
  /** Writes until the crash. */
  writesLeft = Number.POSITIVE_INFINITY;

  async read(file: StateFile): Promise<ReadFile | null> {
    const found = this.kept.get(file);
    return found ? { header: JSON.parse(found.header), payload: found.payload.slice() } : null;
  }

  async write(file: StateFile, header: Json, parts: readonly Uint8Array[]): Promise<void> {
    this.#spend();
    const payload = new Uint8Array(Buffer.concat(parts));
    this.kept.set(file, { header: JSON.stringify(header), payload });
  }

  async remove(file: StateFile): Promise<void> {
    this.#spend();
    this.kept.delete(file);
  }

  async addReceipt(receipt: Json): Promise<void> {
    this.#spend();
    this.receipts.push(receipt);
  }

  #spend(): void {
    if (this.writesLeft <= 0) throw new Crash("killed");
    this.writesLeft -= 1;
  }
}

export class HandTimers implements WorkerTimers {
  time = 0;
  readonly #armed = new Set<{ at: number; call: () => void }>();

  now(): number {
    return this.time;
  }

  set(ms: number, call: () => void): () => void {
    const timer = { at: this.time + ms, call };
    this.#armed.add(timer);
    return () => void this.#armed.delete(timer);
  }

  get armed(): number {
    return this.#armed.size;
  }

  /** Moves on to the next timer and fires it. */
  fireNext(): void {
    const [next] = [...this.#armed].sort((a, b) => a.at - b.at);
    if (!next) return;
    this.#armed.delete(next);
    this.time = Math.max(this.time, next.at);
    next.call();
  }
}

/** Connections as the worker opened them; the test plays the other end. */
export class MemoryLink implements LinkPort {
  readonly opened: {
    events: TextSocketEvents;
    sent: unknown[];
    state: "open" | "closed" | "terminated";
  }[] = [];

  open(events: TextSocketEvents) {
    const link: MemoryLink["opened"][number] = { events, sent: [], state: "open" };
    this.opened.push(link);
    return {
      send: (text: string) => void link.sent.push(JSON.parse(text)),
      close: () => {
        link.state = "closed";
      },
      terminate: () => {
        if (link.state === "open") link.state = "terminated";
      },
    };
  }
}

export class MemoryApi implements ApiPort {
  readonly blobs = new Map<string, Uint8Array>();
  readonly asked: BlobWanted[] = [];
  session: string | null = null;

  setSession(token: string | null): void {
    this.session = token;
  }

  async blob(wanted: BlobWanted): Promise<Uint8Array> {
    this.asked.push(wanted);
    const found = this.blobs.get(wanted.root);
    if (!found) throw new Crash(`no blob ${wanted.root}`);
    return found;
  }

  async put(root: string, bytes: Uint8Array): Promise<void> {
    this.blobs.set(root, bytes);
  }

  async rounds(): Promise<unknown> {
    return [];
  }
}

/** Trains by subtracting `step` from every weight, per inner step. */
export class AddingCompute implements ComputePort {
  readonly numerics = "reference";
  step = 0.5;
  loss = 2;
  resets = 0;
  disposed = false;
  first: Float32Array | null = null;
  /** Lets a test hold the training between its inner steps. */
  pause: () => Promise<void> = async () => setImmediate();

  async prepare(): Promise<void> {
    // Nothing to build.
  }

  initialWeights(_: FrozenRun): Float32Array | null {
    return this.first;
  }

  async evaluate(_: Float32Array, windows: readonly number[]) {
    return { loss: this.loss, tokens: windows.length };
  }

  async train({ base, innerSteps, signal, onStep }: TrainRequest): Promise<TrainReport> {
    let done = 0;
    while (done < innerSteps && !signal.aborted) {
      done += 1;
      onStep({ innerStep: done, loss: this.loss, micros: 1_000 });
      await this.pause();
    }
    const pseudoGradient = base.map(() => this.step * done);
    return { innerSteps: done, pseudoGradient, meanLoss: this.loss, innerStepMicros: 1_000 };
  }

  resetOptimizer(): void {
    this.resets += 1;
  }

  optimizer(): OptimizerArrays | null {
    return { step: 3, moment1: Float32Array.of(1, 2), moment2: Float32Array.of(3) };
  }

  loaded: OptimizerArrays | null = null;

  loadOptimizer(state: OptimizerArrays): boolean {
    this.loaded = state;
    return true;
  }

  async dispose(): Promise<void> {
    this.disposed = true;
  }
}
