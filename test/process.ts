// The real binary as a child process of a test: what it says, and how it ends.
// Not a shell: no pipes, no retries. Only processes that were started here are ever signalled.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { assert, defined } from "@manyhands/base/assert";

const BINARY = join(import.meta.dirname, "../packages/cli/bin/manyhands.mjs");

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type ProcessOptions = {
  /** Another launcher than the checkout's. */
  readonly script?: string;
  readonly environment?: NodeJS.ProcessEnv;
};

/** A started process: its output so far, and its end. */
export class Process {
  readonly #child: ChildProcess;
  readonly exit: Promise<Exit>;
  /** stdout and stderr together, as they came. */
  output = "";
  stdout = "";

  constructor(args: readonly string[], options: ProcessOptions = {}) {
    const { script = BINARY, environment } = options;
    this.#child = spawn(process.execPath, [script, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: environment ?? { ...process.env, NO_COLOR: "1" },
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
      this.output += piece;
      this.stdout += piece;
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (piece: string) => {
      this.output += piece;
    });
    this.exit = once(this.#child, "close").then(([code, signal]) => ({ code, signal }) as Exit);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exit;
  }

  /** Resolves with the first match in the output. @throws if the process ends without one */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match) return match;
      assert(this.running, `it says ${pattern} before it ends; it said:\n${this.output}`);
      await Promise.race([once(defined(this.#child.stdout, "piped"), "data"), this.exit]);
    }
  }
}
