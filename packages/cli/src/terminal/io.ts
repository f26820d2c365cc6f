// What a command may touch of its process: streams, colours, environment. Tests pass their own.
import type { KeyInput } from "./keys.ts";
import { type Paint, paintFor } from "./style.ts";

export type Output = {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
};

export type Io = {
  readonly stdout: Output;
  readonly stderr: Output;
  /** For single keys; a test or a pipe has none. */
  readonly stdin?: KeyInput;
  readonly environment: NodeJS.ProcessEnv;
  /** Colours of stdout, and of stderr. */
  readonly paint: Paint;
  readonly errorPaint: Paint;
};

export function processIo(): Io {
  const { stdout, stderr, stdin, env } = process;
  return {
    stdout,
    stderr,
    stdin,
    environment: env,
    paint: paintFor(stdout, env),
    errorPaint: paintFor(stderr, env),
  };
}

export function print(io: Io, text: string): void {
  io.stdout.write(`${text}\n`);
}

/** A remark beside the result: on stderr, so that a pipe gets results only. */
export function remark(io: Io, text: string): void {
  io.stderr.write(`${text}\n`);
}

export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value)}\n`);
}
