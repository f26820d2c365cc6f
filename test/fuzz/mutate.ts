// Inputs for the fuzzer: random bytes, damaged valid inputs, and JSON values changed in their
// structure. All from one seeded stream, so that a failing input can be made again.
import type { Bytes } from "@manyhands/base/bytes";
import { concatBytes, utf8 } from "@manyhands/base/bytes";
import type { Random } from "@manyhands/base/random";

const RANDOM_BYTES_MAX = 512;
const MUTATIONS_MAX = 4;

export function randomBytes(random: Random, count = random.below(RANDOM_BYTES_MAX)): Bytes {
  return Uint8Array.from({ length: count }, () => random.below(256));
}

function pick<T>(random: Random, list: readonly [T, ...T[]]): T {
  return list[random.below(list.length)] ?? list[0];
}

/** One to four kinds of damage to a valid input; sometimes none, so that some are accepted. */
export function mutateBytes(random: Random, seeds: readonly [Bytes, ...Bytes[]]): Bytes {
  let bytes: Bytes = pick(random, seeds).slice();
  const times = random.below(MUTATIONS_MAX + 1);
  for (let i = 0; i < times; i++) bytes = damaged(random, bytes, pick(random, seeds));
  return bytes;
}

type Damage = (random: Random, bytes: Bytes, other: Bytes) => Bytes;

const DAMAGES: readonly [Damage, ...Damage[]] = [
  function flipBit(random, bytes) {
    const at = random.below(Math.max(1, bytes.length));
    const out = bytes.slice();
    out[at] = (out[at] ?? 0) ^ (1 << random.below(8));
    return out;
  },
  function setByte(random, bytes) {
    const out = bytes.slice();
    out[random.below(Math.max(1, bytes.length))] = pick(random, [0, 1, 0x7f, 0x80, 0xff]);
    return out;
  },
  function setWord(random, bytes) {
    const word = pick(random, [0, 1, 0x7f800000, 0x7fc00000, 0xff800000, 0x7fffffff, 0xffffffff]);
    if (bytes.length < 4) return bytes;
    const out = bytes.slice();
    new DataView(out.buffer).setUint32(random.below(bytes.length - 3), word, true);
    return out;
  },
  (random, bytes) => bytes.slice(0, random.below(bytes.length + 1)),
  (random, bytes) => concatBytes(bytes, randomBytes(random, 1 + random.below(32))),
  function splice(random, bytes, other) {
    const head = bytes.slice(0, random.below(bytes.length + 1));
    return concatBytes(head, other.slice(random.below(other.length + 1)));
  },
  function removeMiddle(random, bytes) {
    const from = random.below(bytes.length + 1);
    const to = Math.min(bytes.length, from + random.below(16));
    return concatBytes(bytes.slice(0, from), bytes.slice(to));
  },
];

function damaged(random: Random, bytes: Bytes, other: Bytes): Bytes {
  return pick(random, DAMAGES)(random, bytes, other);
}

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

const HOSTILE_KEYS = ["__proto__", "constructor", "toString", "", "a.b", "\ud800"] as const;
const HOSTILE_VALUES: readonly [() => Value, ...(() => Value)[]] = [
  () => null,
  () => true,
  () => 1,
  () => 7,
  () => "a",
  () => -0,
  () => -1,
  () => 0.5,
  () => 1e308,
  () => Number.MAX_SAFE_INTEGER + 1,
  () => "",
  () => "\ud800",
  () => "x".repeat(5_000),
  () => [],
  () => ({}),
  () => Array.from({ length: 5_000 }, () => 0),
  () => nested(200),
];

function nested(depth: number): Value {
  let value: Value = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** A valid JSON text with one place changed: a value replaced, a field dropped or added. */
export function mutateJson(random: Random, seeds: readonly [Bytes, ...Bytes[]]): Bytes {
  const text = new TextDecoder().decode(pick(random, seeds));
  const value = JSON.parse(text) as Value;
  if (random.below(8) === 0) return utf8(JSON.stringify(value));
  return utf8(jsonText(changed(random, value)));
}

/** As JSON.stringify, but negative zero keeps its sign, which JSON.parse reads. */
function jsonText(value: Value): string {
  return Object.is(value, -0) ? "-0" : JSON.stringify(value);
}

function changed(random: Random, value: Value): Value {
  const isBranch = typeof value === "object" && value !== null;
  if (!isBranch || random.below(6) === 0) return pick(random, HOSTILE_VALUES)();
  if (Array.isArray(value)) {
    const at = random.below(value.length + 1);
    const item = value[at];
    if (item === undefined) return [...value, value[0] ?? null];
    return value.toSpliced(at, 1, changed(random, item));
  }
  const keys = Object.keys(value);
  const key = keys[random.below(keys.length + 1)];
  const out: { [key: string]: Value } = { ...value };
  if (key === undefined) return withKey(out, pick(random, HOSTILE_KEYS));
  if (random.below(6) === 0) delete out[key];
  else out[key] = changed(random, value[key] ?? null);
  return out;
}

/** Sets a key of the object itself, even one that assignment would give to its prototype. */
function withKey(value: { [key: string]: Value }, key: string): Value {
  Object.defineProperty(value, key, { value: 1, enumerable: true, configurable: true });
  return value;
}
