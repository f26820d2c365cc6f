// How a command tells that it failed: one sentence and a hint; the stack only when asked for.
import { InputError, ManyhandsError, messageOf } from "@manyhands/base/errors";
import { EXIT_FAILED, EXIT_INPUT } from "../exit-codes.ts";
import type { Io } from "./io.ts";

/**
 * Something that a command found, not a person's mistake: a check that failed, a worker that
 * ended.
 */
export class CommandError extends ManyhandsError {
  override readonly name = "CommandError";
}

/** Prints it; returns the exit code. */
export function reportFailure(io: Io, caught: unknown): number {
  const { errorPaint: paint } = io;
  io.stderr.write(`${paint.red("manyhands:")} ${messageOf(caught)}\n`);
  const hint = caught instanceof ManyhandsError ? caught.hint : undefined;
  if (hint) io.stderr.write(`  ${paint.dim(hint)}\n`);
  const isBug = !(caught instanceof ManyhandsError);
  if (io.environment["MANYHANDS_DEBUG"] === "1") io.stderr.write(`${stackOf(caught)}\n`);
  else if (isBug) {
    io.stderr.write(`  ${paint.dim("MANYHANDS_DEBUG=1 shows where in the code this happened.")}\n`);
  }
  return caught instanceof InputError ? EXIT_INPUT : EXIT_FAILED;
}

function stackOf(caught: unknown): string {
  if (!(caught instanceof Error)) return String(caught);
  const cause = caught.cause === undefined ? "" : `\ncaused by ${stackOf(caught.cause)}`;
  return `${caught.stack ?? caught.message}${cause}`;
}
