// Workers on this machine as child processes: start, follow, restart after a crash, stop politely.
// A child is the same program with `join`; it says its status as JSON lines and hears `leave` over
// IPC.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { messageOf } from "@manyhands/base/errors";
import { EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK } from "../exit-codes.ts";
import { decodeWorkerLine, type WorkerEndLine } from "./worker-lines.ts";

/** A worker that crashes more often than this is left alone. */
const RESTARTS_MAX = 5;
const RESTART_DELAY_MS = 500;

export type LocalWorkersOptions = {
  readonly count: number;
  readonly joinUrl: string;
  /** Each worker keeps its key and state in a folder below. */
  readonly folder: string;
  readonly threads: number;
  /** Of each. */
  readonly memoryBytesMax: number;
  /** How to start this program again. */
  readonly program: { readonly node: string; readonly script: string };
  /** A line that a person should see. */
  readonly onNotice: (text: string) => void;
};

type LocalWorker = {
  readonly name: string;
  child: ChildProcess | null;
  state: string;
  restarts: number;
  /** Its last words; null while it lives or may be restarted. */
  end: string | null;
};

export class LocalWorkers {
  readonly #options: LocalWorkersOptions;
  readonly #workers: readonly LocalWorker[];
  readonly #allEnded: PromiseWithResolvers<void> = Promise.withResolvers();
  #stopping = false;

  constructor(options: LocalWorkersOptions) {
    this.#options = options;
    this.#workers = Array.from({ length: options.count }, (_, index) => ({
      name: `worker-${index + 1}`,
      child: null,
      state: "starting",
      restarts: 0,
      end: null,
    }));
    for (const worker of this.#workers) this.#start(worker);
    if (this.#workers.length === 0) this.#allEnded.resolve();
  }

  /** Resolves when no local worker is left and none will be restarted. */
  get allEnded(): Promise<void> {
    return this.#allEnded.promise;
  }

  get states(): ReadonlyMap<string, string> {
    return new Map(this.#workers.map((worker) => [worker.name, worker.state]));
  }

  /** Why the first of them ended that did not want to. */
  get lastWords(): string | null {
    return this.#workers.find((worker) => worker.end !== null)?.end ?? null;
  }

  /** Asks all to finish what they are sending and to leave. */
  leave(): Promise<void> {
    this.#stopping = true;
    for (const worker of this.#workers) {
      if (worker.child?.connected) worker.child.send({ type: "leave" });
      else this.#ended(worker, "stopped");
    }
    return this.allEnded;
  }

  /** Ends all at once. */
  kill(): void {
    this.#stopping = true;
    for (const worker of this.#workers) worker.child?.kill("SIGKILL");
  }

  #start(worker: LocalWorker): void {
    const { program, joinUrl, folder, threads, memoryBytesMax } = this.#options;
    const args = [program.script, "join", joinUrl, "--managed", "--json", "--name", worker.name];
    args.push("--folder", join(folder, worker.name), "--threads", String(threads));
    args.push("--compute", "cpu", "--memory", String(memoryBytesMax));
    const child = spawn(program.node, args, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    worker.child = child;
    worker.state = "starting";
    let last: WorkerEndLine | null = null;
    let stderr = "";
    if (child.stdout) {
      createInterface({ input: child.stdout }).on("line", (text) => {
        const line = decodeWorkerLine(text);
        if (line?.type === "status") worker.state = line.doing;
        if (line?.type === "notice") this.#options.onNotice(`${worker.name}: ${line.sentence}`);
        if (line?.type === "end") last = line;
      });
    }
    child.stderr?.on("data", (chunk) => {
      stderr = (stderr + String(chunk)).slice(-2_000);
    });
    let isOver = false;
    const over = (code: number | null, words: string): void => {
      if (isOver) return;
      isOver = true;
      worker.child = null;
      this.#exited(worker, code, last?.sentence ?? words);
    };
    child.on("error", (caught) => over(EXIT_FAILED, messageOf(caught)));
    child.on("close", (code, signal) => {
      over(code, stderr.trim() || `it ended with ${signal ?? `code ${code}`}`);
    });
  }

  /** A crash is worth another try; an answer such as "this token is wrong" is not. */
  #exited(worker: LocalWorker, code: number | null, words: string): void {
    const isMeant = code === EXIT_OK || code === EXIT_INPUT || code === EXIT_INTERRUPTED;
    if (this.#stopping || isMeant) {
      this.#ended(worker, words);
      return;
    }
    if (worker.restarts >= RESTARTS_MAX) {
      this.#options.onNotice(`${worker.name} crashed ${RESTARTS_MAX + 1} times: ${words}`);
      this.#ended(worker, words);
      return;
    }
    worker.restarts += 1;
    worker.state = "restarting";
    this.#options.onNotice(`${worker.name} ended (${words}); starting it again`);
    setTimeout(() => {
      if (this.#stopping) this.#ended(worker, words);
      else this.#start(worker);
    }, RESTART_DELAY_MS * worker.restarts);
  }

  #ended(worker: LocalWorker, words: string): void {
    worker.state = "ended";
    worker.end = words;
    if (this.#workers.every((each) => each.end !== null)) this.#allEnded.resolve();
  }
}
