// What is fuzzed: every function that takes bytes or values from somebody else, one entry each.
// A target says whether it accepted; what it accepted must keep the promises that it checks.
import assert from "node:assert/strict";
import { CODEC_NAMES } from "@manyhands/aggregation/codec/codecs";
import { decodeUpdate, encodeUpdate } from "@manyhands/aggregation/codec/update";
import type { Fragment } from "@manyhands/aggregation/fragments";
import { type Bytes, concatBytes, uint64, utf8 } from "@manyhands/base/bytes";
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
import { commitDecoder, revealDecoder, transcriptDecoder } from "@manyhands/chain/scores/messages";
import { bundleDecoder } from "@manyhands/chain/settle/ledger";
import { parseConfigJson } from "@manyhands/engine/checkpoint/hf-config";
import { configJson } from "@manyhands/engine/checkpoint/hf-config-json";
import {
  headerEnd,
  readHeader,
  readSafetensors,
  writeSafetensors,
} from "@manyhands/engine/checkpoint/safetensors";
import type { LayerType, ModelConfig } from "@manyhands/engine/model/config";
import { delegationHex } from "@manyhands/protocol/delegation";
import { delegationProblem } from "@manyhands/protocol/delegation-check";
import { eventDecoder } from "@manyhands/protocol/events";
import { clientMessageDecoder, serverMessageDecoder } from "@manyhands/protocol/messages";
import { parseRunFile } from "manyhands/run-file/parse-run-file";
import { mutateBytes, mutateJson } from "./mutate.ts";
import { CLIENT_MESSAGES, EVENTS, MODEL_CONFIG, RUN_FILE, SERVER_MESSAGES } from "./samples.ts";

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

/** A file that somebody gives: text of any kind to a parser that answers with a Result. */
function textTarget(
  name: string,
  parse: (text: string) => { readonly ok: boolean },
  samples: readonly [string, ...string[]],
): Target {
  const [first, ...others] = samples;
  return {
    name,
    seeds: [utf8(first), ...others.map(utf8)],
    mutate: mutateBytes,
    accepts: (input) => parse(new TextDecoder().decode(input)).ok,
  };
}

function acceptsSafetensors(input: Bytes): boolean {
  const read = readSafetensors(input);
  if (!read.ok) return false;
  for (const { name, shape, values } of read.value.tensors) {
    assert.equal(
      values.length,
      shape.reduce((product, size) => product * size, 1),
      name,
    );
    assert(values.byteLength <= input.length, "more values than bytes");
  }
  return true;
}

/** Half floats and bytes, not aligned: as others write them. */
const HEADER = JSON.stringify({
  a: { dtype: "BF16", shape: [3], data_offsets: [0, 6] },
  b: { dtype: "U8", shape: [2], data_offsets: [6, 8] },
});
const FOREIGN = concatBytes(uint64(HEADER.length).toReversed(), utf8(HEADER), new Uint8Array(8));
const FOREIGN_RULES = { dtypes: ["F32", "F16", "BF16", "U8"], aligned: false } as const;

function acceptsHeader(input: Bytes): boolean {
  const end = headerEnd(input, input.length, FOREIGN_RULES);
  if (!end.ok) return false;
  const read = readHeader(input.subarray(0, end.value), input.length, FOREIGN_RULES);
  if (!read.ok) return false;
  const sizes = read.value.entries.map(({ begin, end: last }) => last - begin);
  const sum = sizes.reduce((total, size) => total + size, end.value);
  assert.equal(sum, input.length, "the tensors tile the file");
  return true;
}

const OTHER_CONFIGS: readonly ModelConfig[] = [
  {
    ...MODEL_CONFIG,
    ...{ modelType: "gemma3_text", headDim: 6, slidingWindow: 8, ropeLocalBaseFreq: 100 },
    layerTypes: Array.from(
      { length: MODEL_CONFIG.numHiddenLayers },
      (): LayerType => "sliding_attention",
    ),
    ropeScaling: { ropeType: "linear", factor: 2 },
  },
  { ...MODEL_CONFIG, modelType: "bitnet", bitLinear: "online" },
  {
    ...{ modelType: "gpt2", vocabSize: 9, nPositions: 8, nEmbd: 8, nLayer: 1, nHead: 2, nInner: 9 },
    ...{ layerNormEpsilon: 1e-5, tieWordEmbeddings: true },
  },
];

const DELEGATION = {
  chain: { chainId: 1, registry: "aa".repeat(20) },
  ...{ account: "bb".repeat(20), device: "cc".repeat(32), run: "dd".repeat(32) },
};

/** What a wallet answered, brought into a join's form and looked at: nobody's signature here. */
function acceptsDelegation(input: Bytes): boolean {
  const hex = delegationHex(new TextDecoder().decode(input));
  if (hex === null) return false;
  assert.equal(delegationHex(`0x${hex}`), hex, "one signature, two forms");
  assert.notEqual(delegationProblem(DELEGATION, hex), null, "bytes of nobody are a signature");
  return true;
}

const VALIDATOR = "5e".repeat(20);
const COMMIT = {
  validator: VALIDATOR,
  commitment: "c0".repeat(32),
  signature: "51".repeat(65),
};
const REVEAL = {
  validator: VALIDATOR,
  salt: "5a".repeat(32),
  signature: "51".repeat(65),
  scores: [{ worker: "1a".repeat(32), score: 7 }],
};
const TRANSCRIPT = { window: 3, lastRound: 39, commits: [COMMIT], reveals: [REVEAL] };
const ROOTS = { roundsRoot: "aa".repeat(32), weightsRoot: "bb".repeat(32), head: "cc".repeat(32) };
const BUNDLE = {
  ...{ form: "manyhands settlement 1", runId: "dd".repeat(32), onChainRunId: 1, sequence: 4 },
  ...{ round: 39, rows: 500, ...ROOTS, total: "12345" },
  accounts: [{ account: VALIDATOR, cumulative: "12345" }],
};

export const TARGETS: readonly Target[] = [
  jsonTarget("base/decode", baseDecoder, [
    { kind: "one", count: 3, hash: "00ff00ff", on: true },
    { kind: "two", name: null, parts: [{ share: -0.5, tags: ["a", "b"] }] },
    { kind: "two", name: "ünï", parts: [] },
  ]),
  jsonTarget("protocol/client-message", clientMessageDecoder, CLIENT_MESSAGES),
  jsonTarget("protocol/server-message", serverMessageDecoder, SERVER_MESSAGES),
  jsonTarget("protocol/event", eventDecoder, EVENTS),
  jsonTarget("chain/score-commit", commitDecoder, [COMMIT]),
  jsonTarget("chain/score-reveal", revealDecoder, [REVEAL, { ...REVEAL, scores: [] }]),
  jsonTarget("chain/transcript", transcriptDecoder, [TRANSCRIPT]),
  jsonTarget("chain/bundle", bundleDecoder, [
    BUNDLE,
    { ...BUNDLE, scores: { before: 3, beforeRoot: "ee".repeat(32), windows: [TRANSCRIPT] } },
  ]),
  {
    name: "protocol/delegation",
    seeds: [utf8(`0x${"1f".repeat(64)}1b`), utf8(`${"E7".repeat(64)}00`)],
    mutate: mutateBytes,
    accepts: acceptsDelegation,
  },
  {
    name: "aggregation/update",
    seeds: [updateSeed("q8"), ...CODEC_NAMES.map(updateSeed)],
    mutate: mutateBytes,
    accepts: acceptsUpdate,
  },
  {
    name: "engine/safetensors",
    seeds: [
      writeSafetensors(
        [
          { name: "a.weight", shape: [2, 3], values: new Float32Array(6) },
          { name: "norm", shape: [2], values: new Float32Array([1, 2]) },
        ],
        { format: "pt" },
      ),
    ],
    mutate: mutateBytes,
    accepts: acceptsSafetensors,
  },
  { name: "engine/foreign-header", seeds: [FOREIGN], mutate: mutateBytes, accepts: acceptsHeader },
  textTarget("engine/config-json", parseConfigJson, [
    configJson(MODEL_CONFIG),
    ...OTHER_CONFIGS.map(configJson),
  ]),
  textTarget("cli/run-file", parseRunFile, [RUN_FILE]),
];
