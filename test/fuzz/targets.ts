// What is fuzzed: every function that takes bytes or values from somebody else, one entry each.
// A target says whether it accepted; what it accepted must keep the promises that it checks.
import assert from "node:assert/strict";
import { CODEC_NAMES } from "@manyhands/aggregation/codec/codecs";
import { decodeUpdate, encodeUpdate } from "@manyhands/aggregation/codec/update";
import type { Fragment } from "@manyhands/aggregation/fragments";
import { type Bytes, utf8 } from "@manyhands/base/bytes";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import {
  type Decoder,
  flag,
  hex,
  integer,
  list,
  nullable,
  object,
  oneOf,
  problemText,
  real,
  tagged,
  text,
} from "@manyhands/base/decode";
import type { Random } from "@manyhands/base/random";
import { clientMessageDecoder } from "@manyhands/protocol/messages";
import { mutateBytes, mutateJson } from "./mutate.ts";

export type Target = {
  readonly name: string;
  /** Valid inputs: each must be accepted, and mutations start from them. */
  readonly seeds: readonly [Bytes, ...Bytes[]];
  readonly mutate: (random: Random, seeds: readonly [Bytes, ...Bytes[]]) => Bytes;
  /** Accepted or refused. A throw, or a broken promise about what was accepted, is a bug. */
  readonly accepts: (input: Bytes) => boolean;
};

const MESSAGE_CHARS_MAX = 5_000;

/** A decoder of JSON values, fed as text like a message or a log row. */
function jsonTarget(
  name: string,
  decoder: Decoder<unknown>,
  samples: readonly [Json, ...Json[]],
): Target {
  const [first, ...others] = samples;
  const seedOf = (sample: Json): Bytes => utf8(canonicalJson(sample));
  return {
    name,
    seeds: [seedOf(first), ...others.map(seedOf)],
    mutate: (random, seeds) =>
      random.below(4) === 0 ? mutateBytes(random, seeds) : mutateJson(random, seeds),
    accepts: (input) => acceptsJson(decoder, input),
  };
}

function acceptsJson(decoder: Decoder<unknown>, input: Bytes): boolean {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(input));
  } catch {
    // No JSON: the socket's own check refuses it before any decoder.
    return false;
  }
  const decoded = decoder(value);
  if (!decoded.ok) {
    const { length } = problemText(decoded.error);
    assert(length <= MESSAGE_CHARS_MAX, `a message of ${length} characters`);
    return false;
  }
  const canonical = canonicalJson(decoded.value as Json);
  const again = decoder(JSON.parse(canonical));
  assert(again.ok, "what was accepted is refused in its canonical form");
  assert.equal(canonicalJson(again.value as Json), canonical, "one value, two canonical forms");
  return true;
}

const baseDecoder = tagged("kind", {
  one: object({ kind: oneOf("one"), count: integer(0, 9), hash: hex(4), on: flag }),
  two: object({
    kind: oneOf("two"),
    name: nullable(text(40)),
    parts: list(object({ share: real(-1, 1), tags: list(text(8), { max: 3 }) }), { max: 5 }),
  }),
});

const FRAGMENTS: readonly Fragment[] = [
  { name: "embed", shape: [70, 60], dtype: "f32" },
  { name: "norm", shape: [7], dtype: "f32" },
];
const ELEMENTS = 70 * 60 + 7;

function updateSeed(codec: (typeof CODEC_NAMES)[number]): Bytes {
  const values = Float32Array.from({ length: ELEMENTS }, (_, i) =>
    Math.fround(((i % 13) - 6) / 64),
  );
  return encodeUpdate({ values, fragments: FRAGMENTS, codec });
}

function acceptsUpdate(input: Bytes): boolean {
  const decoded = decodeUpdate(input, FRAGMENTS);
  if (!decoded.ok) return false;
  assert.equal(decoded.value.values.length, ELEMENTS);
  assert(decoded.value.values.every(Number.isFinite), "an accepted update has a value not finite");
  return true;
}

const HASH = "ab".repeat(32);

export const TARGETS: readonly Target[] = [
  jsonTarget("base/decode", baseDecoder, [
    { kind: "one", count: 3, hash: "00ff00ff", on: true },
    { kind: "two", name: null, parts: [{ share: -0.5, tags: ["a", "b"] }] },
    { kind: "two", name: "ünï", parts: [] },
  ]),
  {
    name: "aggregation/update",
    seeds: [updateSeed("q8"), ...CODEC_NAMES.map(updateSeed)],
    mutate: mutateBytes,
    accepts: acceptsUpdate,
  },
  jsonTarget("protocol/client-message", clientMessageDecoder, [
    {
      type: "hello",
      protocolVersion: 1,
      kernelSet: "ort-1.30.0",
      runId: HASH,
      token: "a".repeat(32),
    },
    {
      type: "heartbeat",
      doing: "training",
      innerStep: 3,
      innerSteps: 10,
      tokensPerSecond: 900,
    },
    { type: "leave" },
  ]),
];
