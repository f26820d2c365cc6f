// Every decoder of the protocol against mutated and random input: it decides, and never throws.
import assert from "node:assert/strict";
import test from "node:test";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import { type Decoder, problemText } from "@manyhands/base/decode";
import fc from "fast-check";
import { eventDecoder } from "./events.ts";
import { clientMessageDecoder, serverMessageDecoder } from "./messages.ts";
import type { Model } from "./model-config.ts";
import { type FrozenRun, frozenRunDecoder } from "./run-config.ts";
import { TEST_MODEL, TEST_PAY, testRun } from "./testing/fixtures.ts";
import { CLIENT_MESSAGES, EVENTS, SERVER_MESSAGES } from "./testing/messages.ts";

type Subject = {
  readonly name: string;
  readonly decoder: Decoder<unknown>;
  readonly examples: readonly Json[];
};

const BASE = { kind: "q4" as const, byteLength: 9, root: "00".repeat(32) };
const ADAPTER = {
  ...{ r: 8, loraAlpha: 16, loraDropout: 0.1, useRslora: true, useDora: false },
  targetModules: ["q_proj", "v_proj"],
};
const GPT2: Model = {
  ...{ modelType: "gpt2", vocabSize: 256, nPositions: 8, nEmbd: 8, nLayer: 1, nHead: 2 },
  ...{ nInner: 16, layerNormEpsilon: 1e-5, tieWordEmbeddings: true },
};
const GEMMA: Model = {
  ...TEST_MODEL,
  ...{ modelType: "gemma3_text", headDim: 4, layerTypes: ["sliding_attention"] },
  ...{ slidingWindow: 4, ropeLocalBaseFreq: 100, queryPreAttnScalar: 4 },
  ropeScaling: { ropeType: "linear", factor: 8 },
};

/** Runs that train on, of other architectures. */
const TUNED: readonly FrozenRun[] = [
  { ...testRun(), model: GPT2, tuning: { method: "lora", adapter: ADAPTER, base: BASE } },
  { ...testRun(), model: GEMMA, tokenizer: "ids", tuning: { method: "full" } },
  { ...testRun(), pay: TEST_PAY },
];

const SUBJECTS: readonly Subject[] = [
  { name: "event", decoder: eventDecoder, examples: EVENTS },
  { name: "client message", decoder: clientMessageDecoder, examples: CLIENT_MESSAGES },
  { name: "server message", decoder: serverMessageDecoder, examples: SERVER_MESSAGES },
  { name: "run", decoder: frozenRunDecoder, examples: [testRun(), ...TUNED] },
];

const VALUES: readonly Json[] = [
  null,
  true,
  -1,
  0.5,
  2 ** 53,
  "",
  "__proto__",
  "00".repeat(32),
  [],
  {},
  "x".repeat(100_000),
];

/** Replaces, drops or adds at one place of the tree, chosen by `where`. */
function mutate(value: Json, where: number, change: number): Json {
  if (typeof value !== "object" || value === null || where % 4 === 0) {
    return VALUES[change % VALUES.length] ?? null;
  }
  const next = Math.floor(where / 4);
  if (Array.isArray(value)) {
    const at = next % (value.length + 1);
    return value.length === 0 ? [1] : value.with(at % value.length, mutate(value[0], next, change));
  }
  const fields = Object.entries(value) as [string, Json][];
  const [key, inner] = fields[next % Math.max(1, fields.length)] ?? ["extra", null];
  const rest = fields.filter(([name]) => name !== key);
  if (change % 7 === 0) return Object.fromEntries(rest);
  if (change % 7 === 1) return { ...value, [`${key}x`]: inner };
  return { ...value, [key]: mutate(inner, Math.floor(next / fields.length), change) };
}

function decide(decoder: Decoder<unknown>, value: unknown): void {
  const decoded = decoder(value);
  if (!decoded.ok) {
    const text = problemText(decoded.error);
    assert.ok(text.length < 2_000, `a bounded sentence, found ${text.length} characters`);
    return;
  }
  // What was accepted has one canonical text, and decodes to itself.
  const text = canonicalJson(decoded.value as Json);
  const again = decoder(JSON.parse(text));
  assert.ok(again.ok, again.ok ? "" : problemText(again.error));
  assert.equal(canonicalJson(again.value as Json), text);
}

for (const { name, decoder, examples } of SUBJECTS) {
  test(`${name}: every example decodes to itself`, () => {
    for (const example of examples) {
      const decoded = decoder(JSON.parse(canonicalJson(example)));
      assert.ok(decoded.ok, decoded.ok ? "" : problemText(decoded.error));
      assert.equal(canonicalJson(decoded.value as Json), canonicalJson(example));
    }
  });

  test(`${name}: mutated values are decided`, () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(examples.length - 1), fc.nat(), fc.nat(), (index, where, change) => {
        const value = mutate(examples[index] ?? null, where, change);
        decide(decoder, value);
        if (!decoder(value).ok) refused += 1;
      }),
      { numRuns: 500 },
    );
    assert.ok(refused > 100, `only ${refused} mutations were refused`);
  });

  test(`${name}: any JSON value is decided`, () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => decide(decoder, value)));
  });
}

test("a field that an object inherits is no field", () => {
  const disguised = Object.create({ type: "leave" }) as unknown;
  assert.equal(clientMessageDecoder(disguised).ok, false);
  assert.equal(clientMessageDecoder({ type: "constructor" }).ok, false);
});
