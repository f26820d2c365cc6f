// Threads of Node for runtimes that can use them. It deliberately passes no messages: those who
// share the work share memory.
import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { ManyhandsError } from "@manyhands/base/errors";
import type { StartThread, Thread } from "./runtime.ts";

/** A thread stopped although work may wait for it: out of memory, or ended from outside. */
class ThreadEndedError extends ManyhandsError {
  override readonly name = "ThreadEndedError";
}

function threadEnded(): ThreadEndedError {
  return new ThreadEndedError("a thread of the engine has ended", {
    hint: "It may have run out of memory: use fewer threads or a smaller batch.",
  });
}

class NodeThread implements Thread {
  readonly #worker: Worker;
  readonly #exit: Promise<void>;
  #holders = 0;

  constructor(worker: Worker, onFailure: (error: Error) => void) {
    this.#worker = worker;
    this.#exit = new Promise((resolve) => worker.once("exit", () => resolve()));
    worker.once("error", onFailure);
    worker.once("exit", () => onFailure(threadEnded()));
    worker.unref();
  }

  hold(): void {
    this.#holders += 1;
    this.#worker.ref();
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.#worker.unref();
  }

  async ended(): Promise<void> {
    this.hold();
    await this.#exit;
  }
}

/** @returns undefined if the module is not a file */
export const startNodeThread: StartThread = (module, data, onFailure) => {
  if (module.protocol !== "file:" || !existsSync(module)) return undefined;
  return new NodeThread(new Worker(module, { workerData: data }), onFailure);
};
