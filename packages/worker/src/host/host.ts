// Runs a WorkerCore over ports: feeds it what happens, carries out what it decides.
// No decisions and no platform: Node, a browser and the simulator use it with their own ports.
import { unreachable } from "@manyhands/base/assert";
import { problemText } from "@manyhands/base/decode";
import type { TextSocket } from "@manyhands/net/text-socket";
import { serverMessageDecoder } from "@manyhands/protocol/messages";
import type { CoreStatus } from "../core/status.ts";
import type {
  CoreConfig,
  StopMode,
  TimerName,
  WorkerEffect,
  WorkerEnd,
  WorkerInput,
} from "../core/types.ts";
import { WorkerCore } from "../core/worker-core.ts";
import { failureOf, JobRunner } from "./job-runner.ts";
import type { WorkerPorts } from "./ports.ts";

const CLOSE_ABNORMAL = 1006;

export type HostEvents = {
  /** After every input. */
  onStatus?(status: CoreStatus): void;
  /** A sentence that a person may want to read. */
  onNotice?(sentence: string): void;
};

export type HostOptions = {
  readonly config: CoreConfig;
  readonly ports: WorkerPorts;
  readonly events?: HostEvents;
};

export class WorkerHost {
  /** Resolves when the worker has ended and let go of everything. */
  readonly ended: Promise<WorkerEnd>;
  readonly #core: WorkerCore;
  readonly #ports: WorkerPorts;
  readonly #events: HostEvents;
  readonly #jobs: JobRunner;
  readonly #timers = new Map<TimerName, () => void>();
  readonly #inbox: WorkerInput[] = [];
  readonly #resolveEnded: (end: WorkerEnd) => void;
  readonly #rejectEnded: (bug: unknown) => void;
  #busy = false;
  #link: { readonly socket: TextSocket; readonly number: number } | null = null;
  #links = 0;

  constructor(options: HostOptions) {
    this.#core = new WorkerCore(options.config);
    this.#ports = options.ports;
    this.#events = options.events ?? {};
    this.#jobs = new JobRunner(options.ports, {
      onStep: (step) => this.#take({ kind: "progress", ...step }),
      onNotice: (sentence) => this.#events.onNotice?.(sentence),
    });
    const { promise, resolve, reject } = Promise.withResolvers<WorkerEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    this.#rejectEnded = reject;
  }

  start(): void {
    this.#take({ kind: "started" });
  }

  stop(mode: StopMode): void {
    this.#take({ kind: "stop", mode });
  }

  status(): CoreStatus {
    return this.#core.status();
  }

  /**
   * One input at a time: what an effect brings about at once waits its turn. A bug ends the worker.
   */
  #take(input: WorkerInput): void {
    this.#inbox.push(input);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#inbox.shift(); next; next = this.#inbox.shift()) {
        const effects = this.#core.handle(next, this.#ports.timers.now());
        for (const effect of effects) this.#carryOut(effect);
        this.#events.onStatus?.(this.#core.status());
      }
    } catch (bug) {
      this.#fail(bug);
    } finally {
      this.#busy = false;
    }
  }

  #carryOut(effect: WorkerEffect): void {
    switch (effect.kind) {
      case "connect":
        this.#connect();
        return;
      case "disconnect":
        this.#link?.socket.close();
        this.#link = null;
        return;
      case "send":
        this.#link?.socket.send(JSON.stringify(effect.message));
        return;
      case "session":
        this.#ports.api.setSession(effect.token);
        return;
      case "timer":
        this.#arm(effect.timer, effect.at);
        return;
      case "job":
        void this.#runJob(effect);
        return;
      case "stop-training":
        this.#jobs.stopTraining();
        return;
      case "reset-optimizer":
        this.#ports.compute.resetOptimizer();
        return;
      case "notice":
        this.#events.onNotice?.(effect.sentence);
        return;
      case "exit":
        this.#end(effect.end).catch((bug: unknown) => this.#rejectEnded(bug));
        return;
      default:
        unreachable(effect);
    }
  }

  #connect(): void {
    this.#links += 1;
    const number = this.#links;
    const isCurrent = () => this.#links === number;
    const socket = this.#ports.link.open({
      onOpen: () => {
        if (isCurrent()) this.#take({ kind: "connected" });
      },
      onText: (text) => {
        if (isCurrent()) this.#read(text);
      },
      onClose: ({ why, code, httpStatus }) => {
        // A link that we closed ourselves has no say any more.
        if (!isCurrent() || this.#link?.number !== number) return;
        this.#link = null;
        this.#take({ kind: "disconnected", why, code, httpStatus });
      },
    });
    this.#link = { socket, number };
  }

  #read(text: string): void {
    const message = serverMessageDecoder(parsed(text));
    if (message.ok) {
      this.#take({ kind: "message", message: message.value });
      return;
    }
    const why = `the coordinator sent what is not a message (${problemText(message.error)})`;
    this.#link?.socket.terminate();
    this.#link = null;
    this.#take({ kind: "disconnected", why, code: CLOSE_ABNORMAL, httpStatus: null });
  }

  #arm(timer: TimerName, at: number | null): void {
    this.#timers.get(timer)?.();
    this.#timers.delete(timer);
    if (at === null) return;
    const cancel = this.#ports.timers.set(Math.max(0, at - this.#ports.timers.now()), () => {
      this.#timers.delete(timer);
      this.#take({ kind: "timer", timer });
    });
    this.#timers.set(timer, cancel);
  }

  async #runJob({ id, job }: Extract<WorkerEffect, { kind: "job" }>): Promise<void> {
    try {
      const outcome = await this.#jobs.run(job);
      this.#take({ kind: "done", id, outcome });
    } catch (caught) {
      const failure = failureOf(caught);
      if (failure) this.#take({ kind: "failed", id, failure });
      else this.#fail(caught);
    }
  }

  /** A bug: nothing goes on, and whoever waits for the end hears of it. */
  #fail(bug: unknown): void {
    this.#inbox.length = 0;
    this.#letGo();
    this.#rejectEnded(bug);
  }

  async #end(end: WorkerEnd): Promise<void> {
    this.#letGo();
    await this.#jobs.finish();
    await this.#ports.compute.dispose();
    this.#resolveEnded(end);
  }

  #letGo(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#jobs.abort();
    this.#link?.socket.terminate();
    this.#link = null;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The decoder says it better: it names what was expected.
    return text;
  }
}
