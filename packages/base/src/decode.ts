// Decoders of untrusted values. A decoder either returns the typed value or says where, what it
// found and what it expected. The run file, every wire message and every log row go through these.
import { isHex } from "./bytes.ts";
import { err, ok, type Result } from "./result.ts";

export type PathStep = string | number;

/** What is wrong with a value: the place, what stands there, what should. */
export type DecodeProblem = {
  readonly path: readonly PathStep[];
  readonly found: string;
  readonly expected: string;
};

export type Decoder<T> = (value: unknown, path?: readonly PathStep[]) => Result<T, DecodeProblem>;

export type Decoded<D> = D extends Decoder<infer T> ? T : never;

const FOUND_CHARS_MAX = 60;
const PLAIN_KEY = /^[\w$-]{1,60}$/;

/** A short picture of a value for a message: bounded, whatever the value. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null || typeof value === "number" || typeof value === "boolean") {
    return String(value);
  }
  if (typeof value === "string") return JSON.stringify(shortened(value));
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function shortened(words: string): string {
  return words.length > FOUND_CHARS_MAX ? `${words.slice(0, FOUND_CHARS_MAX)}…` : words;
}

/** The sentence for a problem: `recipe.batch: expected an integer ≥ 1, found "many"`. */
export function problemText(problem: DecodeProblem): string {
  const place = problem.path.length === 0 ? "the value" : pathText(problem.path);
  return `${place}: expected ${problem.expected}, found ${problem.found}`;
}

/** `workers[3].name`; a key that is no plain word (somebody else chose it) is quoted and cut. */
export function pathText(path: readonly PathStep[]): string {
  return path
    .map((step, i) => {
      if (typeof step === "number") return `[${step}]`;
      if (!PLAIN_KEY.test(step)) return `[${JSON.stringify(shortened(step))}]`;
      return i === 0 ? step : `.${step}`;
    })
    .join("");
}

function fail(
  value: unknown,
  path: readonly PathStep[],
  expected: string,
): Result<never, DecodeProblem> {
  return err({ path, found: describe(value), expected });
}

/** A decoder from a test and the words for what it expects. */
export function checked<T>(expected: string, test: (value: unknown) => value is T): Decoder<T> {
  return (value, path = []) => (test(value) ? ok(value) : fail(value, path, expected));
}

/** An exact integer. Negative zero becomes zero: one value, one canonical text. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Decoder<number> {
  const upper = max === Number.MAX_SAFE_INTEGER ? "" : ` and ≤ ${max}`;
  return withoutNegativeZero(
    checked(
      `an integer ≥ ${min}${upper}`,
      (value): value is number => Number.isSafeInteger(value) && between(value as number, min, max),
    ),
  );
}

/** A finite number within the bounds. Negative zero becomes zero. */
export function real(min: number, max: number): Decoder<number> {
  return withoutNegativeZero(
    checked(
      `a number from ${min} to ${max}`,
      (value): value is number => Number.isFinite(value) && between(value as number, min, max),
    ),
  );
}

function withoutNegativeZero(inner: Decoder<number>): Decoder<number> {
  return (value, path = []) => {
    const decoded = inner(value, path);
    return decoded.ok ? ok(decoded.value + 0) : decoded;
  };
}

function between(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

/** Well-formed text: a lone surrogate has no UTF-8, so it could not be hashed or signed. */
export function text(charsMax: number): Decoder<string> {
  return checked(
    `a text of 1 to ${charsMax} characters`,
    (value): value is string =>
      typeof value === "string" && between(value.length, 1, charsMax) && value.isWellFormed(),
  );
}

/** Controls, line ends, and what turns the direction of writing. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** Text for one line of somebody else's screen: it moves no cursor, and hides nothing. */
export function line(charsMax: number): Decoder<string> {
  const inner = text(charsMax);
  return checked(
    `one line of 1 to ${charsMax} characters`,
    (value): value is string => inner(value).ok && !UNPRINTABLE.test(value as string),
  );
}

export const flag: Decoder<boolean> = checked(
  "true or false",
  (value): value is boolean => typeof value === "boolean",
);

/** Lower-case hex of exactly so many bytes. */
export function hex(byteCount: number): Decoder<string> {
  return checked(
    `${byteCount} bytes in lower-case hex`,
    (value): value is string => typeof value === "string" && isHex(value, byteCount),
  );
}

/** One of these words or numbers. */
export function oneOf<const T extends readonly (string | number)[]>(
  ...options: T
): Decoder<T[number]> {
  return checked(
    options.length === 1 ? JSON.stringify(options[0]) : `one of ${options.join(", ")}`,
    (value): value is T[number] => options.some((option) => option === value),
  );
}

export function nullable<T>(inner: Decoder<T>): Decoder<T | null> {
  return (value, path = []) => (value === null ? ok(null) : inner(value, path));
}

/** The field may be left out, and then has this value. */
export function fallback<T>(inner: Decoder<T>, value: T): Decoder<T> {
  return (found, path = []) => (found === undefined ? ok(value) : inner(found, path));
}

export function list<T>(inner: Decoder<T>, limits: { min?: number; max: number }): Decoder<T[]> {
  const min = limits.min ?? 0;
  return (value, path = []) => {
    if (!Array.isArray(value) || !between(value.length, min, limits.max)) {
      return fail(value, path, `a list of ${min} to ${limits.max}`);
    }
    const out: T[] = [];
    for (const [index, item] of value.entries()) {
      const decoded = inner(item, [...path, index]);
      if (!decoded.ok) return decoded;
      out.push(decoded.value);
    }
    return ok(out);
  };
}

type Fields = { readonly [key: string]: Decoder<unknown> };
type Shape<F extends Fields> = { readonly [K in keyof F]: Decoded<F[K]> };

/** An object with exactly these fields; an unknown field is a mistake, not something to ignore. */
export function object<const F extends Fields>(fields: F): Decoder<Shape<F>> {
  const names = Object.keys(fields);
  return (value, path = []) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return fail(value, path, `an object with ${names.join(", ")}`);
    }
    const source = value as { readonly [key: string]: unknown };
    const unknown = Object.keys(source).find((key) => !Object.hasOwn(fields, key));
    if (unknown !== undefined) {
      return err({
        path: [...path, unknown],
        found: "an unknown field",
        expected: `one of ${names.join(", ")}`,
      });
    }
    const out: { [key: string]: unknown } = {};
    for (const name of names) {
      // Only the value's own fields: "constructor" and its like are inherited by every object.
      const field = Object.hasOwn(source, name) ? source[name] : undefined;
      const decoded = (fields[name] as Decoder<unknown>)(field, [...path, name]);
      if (!decoded.ok) return decoded;
      if (decoded.value !== undefined) out[name] = decoded.value;
    }
    return ok(out as Shape<F>);
  };
}

/** A union told apart by one text field: `{ [tag]: "join", … }`. */
export function tagged<
  const T extends string,
  const V extends { readonly [kind: string]: Decoder<unknown> },
>(tag: T, variants: V): Decoder<{ [K in keyof V]: Decoded<V[K]> }[keyof V]> {
  const kinds = Object.keys(variants);
  return (value, path = []) => {
    const tagHere = typeof value === "object" && value !== null && Object.hasOwn(value, tag);
    const kind: unknown = tagHere ? Reflect.get(value, tag) : undefined;
    const variant =
      typeof kind === "string" && Object.hasOwn(variants, kind) ? variants[kind] : undefined;
    if (!variant) return fail(kind, [...path, tag], `one of ${kinds.join(", ")}`);
    return variant(value, path) as Result<
      { [K in keyof V]: Decoded<V[K]> }[keyof V],
      DecodeProblem
    >;
  };
}
