// Operating errors: disk, socket, runtime, a person's input. Each is a class that builds its
// sentence from facts. Not for refused messages (Result) and not for our own bugs (assert).

/** What a caught value may carry besides its message. */
export type ErrorDetails = { readonly cause?: unknown; readonly hint?: string };

/** The root of every operating error: a stable name, the cause, and a hint that says what to do. */
export abstract class ManyhandsError extends Error {
  abstract override readonly name: string;
  readonly hint: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.hint = details.hint;
  }
}

/** A person's flag, file or URL is wrong. Commands turn it into exit code 2. */
export class InputError extends ManyhandsError {
  override readonly name = "InputError";
}

/** The text of any caught value, for messages. */
export function messageOf(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught);
}
