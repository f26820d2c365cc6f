// An engine of the benchmark as a child process: one JSON line asks, one JSON line answers.
// It deliberately knows no engine: engines.ts says how each is started.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { GenerationJob, Job } from "./models.ts";

export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** What an engine measured in a turn: one number per step. */
export type Turn = {
  readonly ms: readonly number[];
  readonly losses: readonly number[];
  readonly peakMiB: number;
  /** Of the first turn only. */
  readonly version?: string;
};

/** What is kept of an engine's complaints. */
const ERROR_CHARACTERS = 2000;

export class EngineProcess {
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  readonly #started = performance.now();
  #errors = "";

  constructor(command: Command) {
    const env = { ...process.env, ...command.env };
    this.#process = spawn(command.file, command.args, { env, stdio: "pipe" });
    const { stdout, stderr } = this.#process;
    if (!stdout || !stderr) throw new Error("a child process has its streams");
    this.#lines = createInterface({ input: stdout });
    this.#lines.on("line", (line) => line.startsWith("{") && this.#waiting.shift()?.(line));
    this.#lines.on("close", () => {
      for (const resolve of this.#waiting.splice(0)) resolve(undefined);
    });
    stderr.on("data", (bytes: Buffer) => {
      this.#errors = `${this.#errors}${bytes}`.slice(-ERROR_CHARACTERS);
    });
    this.#process.on("error", (error) => {
      this.#errors += error.message;
    });
    this.#process.stdin?.on("error", () => undefined);
  }

  /** Starts the engine and takes the first step. */
  async start(job: Job | GenerationJob): Promise<Turn & { readonly startupSeconds: number }> {
    const turn = await this.#ask({ init: job });
    return { ...turn, startupSeconds: (performance.now() - this.#started) / 1000 };
  }

  steps(count: number): Promise<Turn> {
    return this.#ask({ steps: count });
  }

  async #ask(message: object): Promise<Turn> {
    const answer = new Promise<string | undefined>((resolve) => this.#waiting.push(resolve));
    this.#process.stdin?.write(`${JSON.stringify(message)}\n`);
    const line = await answer;
    if (line === undefined) throw new Error(`the engine ended: ${this.#errors.trim()}`);
    return JSON.parse(line) as Turn;
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.pid === undefined) return;
    const exit = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.stdin?.end();
    await exit;
  }
}
