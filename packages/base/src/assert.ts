// Assertions state what must hold. They stay on in production: a broken invariant must stop the
// run, because a swarm that goes on with wrong weights costs everybody more than one crash.

/** A bug in our own code. Caught only at a process or room boundary, which stops and says so. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * @param condition what must hold
 * @param message   the rule, as a sentence with its facts
 * @throws          AssertionError if the condition is false
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The value, which an invariant says is there. @throws AssertionError if it is not */
export function defined<T>(value: T | undefined | null, message: string): T {
  assert(value !== undefined && value !== null, message);
  return value;
}

/** The end of an exhaustive switch: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable value: ${String(value)}`);
}
