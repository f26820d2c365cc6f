// Each bound of limits.ts at the limit, which is accepted, and one past it, which is not.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { compareText, utf8 } from "@manyhands/base/bytes";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import type { Decoder } from "@manyhands/base/decode";
import { joinDecoder, metricsDecoder, updateDecoder } from "./events.ts";
import {
  ADAPTER_RANK_MAX,
  ADAPTER_TARGETS_MAX,
  ATTESTORS_MAX,
  AUTHORITY_KEYS_MAX,
  BATCH_SEQUENCES_MAX,
  BPS,
  BUDGET_TOKENS_MAX,
  CARRIED_STATES_MAX,
  CHALLENGE_SECONDS_MAX,
  CLOSED_ROUNDS_MAX,
  CONTEXT_LENGTH_MAX,
  DATA_FILES_MAX,
  DIMENSION_MAX,
  EVALUATE_WINDOWS_MAX,
  FRAGMENTS_MAX,
  INNER_STEP_MICROS_MAX,
  INNER_STEPS_MAX,
  MESSAGE_BYTES_MAX,
  NAME_CHARS_MAX,
  POSITION_END,
  RANK_MAX,
  SERVER_MESSAGE_BYTES_MAX,
  STAKE_MAX,
  STALENESS_MAX,
  UPDATE_BYTES_MAX,
  UPDATE_TOKENS_MAX,
  VALIDATORS_MAX,
  WORKERS_MAX,
} from "./limits.ts";
import { assignmentDecoder, clientMessageDecoder, serverMessageDecoder } from "./messages.ts";
import { modelDecoder } from "./model-config.ts";
import { payDecoder } from "./pay.ts";
import {
  budgetDecoder,
  checkRunRules,
  datasetDecoder,
  fragmentDecoder,
  frozenRunDecoder,
  recipeDecoder,
  roundPolicyDecoder,
} from "./run-config.ts";
import type { RunState } from "./state.ts";
import { step } from "./step.ts";
import { hashOf, joinOf, runCreated, TEST_PAY, testRun, workerJoined } from "./testing/fixtures.ts";
import { CLIENT_MESSAGES, SERVER_MESSAGES } from "./testing/messages.ts";
import { tuningDecoder } from "./tuning.ts";

const run = testRun();
const hash = hashOf("hash");

function example(messages: readonly { type: string }[], type: string): { [key: string]: Json } {
  const found = messages.find((message) => message.type === type);
  return JSON.parse(JSON.stringify(found)) as { [key: string]: Json };
}

const { update } = example(CLIENT_MESSAGES, "commit") as { update: { [key: string]: Json } };
const welcome = example(SERVER_MESSAGES, "welcome");
const round = example(SERVER_MESSAGES, "round");
const [closed] = welcome["closed"] as Json[];
const [authorityKey] = welcome["authority"] as Json[];

type Case = {
  readonly name: string;
  readonly decoder: Decoder<unknown>;
  /** A value that reaches the bound by exactly so much. */
  readonly value: (size: number) => unknown;
  readonly limit: number;
};

const many = <T>(count: number, item: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => item(index));

const file = { name: "f", byteLength: 1, root: hash };
const validator = (stake: number) => ({ account: "11".repeat(20), stake });
const fragment = { name: "w", shape: [1], dtype: "f32" };
const carried = { name: "residual", before: hash, after: hash };
const adapter = { r: 1, loraAlpha: 1 };
const tuning = { method: "lora", adapter, base: { kind: "q4", byteLength: 1, root: hash } };
const assignment = { innerSteps: 1, firstSample: 0, sampleCount: 1, evaluate: null };
const evaluate = (count: number): unknown => ({ windows: many(count, (i) => i) });
const at = (base: object, key: string) => (value: unknown) => ({ ...base, [key]: value });

const CASES: readonly Case[] = [
  {
    name: "FRAGMENTS_MAX",
    decoder: frozenRunDecoder,
    value: (size) => ({ ...run, fragments: many(size, () => fragment) }),
    limit: FRAGMENTS_MAX,
  },
  {
    name: "FRAGMENTS_MAX, covered",
    decoder: updateDecoder,
    value: (size) => ({ ...update, fragments: many(size, () => 0) }),
    limit: FRAGMENTS_MAX,
  },
  {
    name: "DIMENSION_MAX",
    decoder: fragmentDecoder,
    value: (size) => ({ ...fragment, shape: [size] }),
    limit: DIMENSION_MAX,
  },
  {
    name: "DIMENSION_MAX, vocabulary",
    decoder: modelDecoder,
    value: at(run.model, "vocabSize"),
    limit: DIMENSION_MAX,
  },
  {
    name: "ADAPTER_RANK_MAX",
    decoder: tuningDecoder,
    value: (size) => ({ ...tuning, adapter: { ...adapter, r: size } }),
    limit: ADAPTER_RANK_MAX,
  },
  {
    name: "ADAPTER_TARGETS_MAX",
    decoder: tuningDecoder,
    value: (size) => ({ ...tuning, adapter: { ...adapter, targetModules: many(size, () => "q") } }),
    limit: ADAPTER_TARGETS_MAX,
  },
  {
    name: "ATTESTORS_MAX",
    decoder: payDecoder,
    value: (size) => ({ ...TEST_PAY, attestors: many(size, () => "11".repeat(20)) }),
    limit: ATTESTORS_MAX,
  },
  {
    name: "VALIDATORS_MAX",
    decoder: payDecoder,
    value: (size) => ({ ...TEST_PAY, scores: { validators: many(size, () => validator(1)) } }),
    limit: VALIDATORS_MAX,
  },
  {
    name: "STAKE_MAX",
    decoder: payDecoder,
    value: (stake) => ({ ...TEST_PAY, scores: { validators: [validator(stake)] } }),
    limit: STAKE_MAX,
  },
  {
    name: "CHALLENGE_SECONDS_MAX",
    decoder: payDecoder,
    value: at(TEST_PAY, "challengeWindowSeconds"),
    limit: CHALLENGE_SECONDS_MAX,
  },
  {
    name: "RANK_MAX",
    decoder: fragmentDecoder,
    value: (size) => ({ ...fragment, shape: many(size, () => 1) }),
    limit: RANK_MAX,
  },
  {
    name: "DATA_FILES_MAX",
    decoder: datasetDecoder,
    value: (size) => ({ files: many(size, () => file) }),
    limit: DATA_FILES_MAX,
  },
  {
    name: "INNER_STEPS_MAX",
    decoder: recipeDecoder,
    value: at(run.recipe, "innerSteps"),
    limit: INNER_STEPS_MAX,
  },
  {
    name: "INNER_STEPS_MAX, of an update",
    decoder: updateDecoder,
    value: at(update, "innerSteps"),
    limit: INNER_STEPS_MAX,
  },
  {
    name: "INNER_STEP_MICROS_MAX",
    decoder: metricsDecoder,
    value: at({ trainLossMicronats: 0, evaluation: null }, "innerStepMicros"),
    limit: INNER_STEP_MICROS_MAX,
  },
  {
    name: "BATCH_SEQUENCES_MAX",
    decoder: recipeDecoder,
    value: at(run.recipe, "batchSequences"),
    limit: BATCH_SEQUENCES_MAX,
  },
  {
    name: "CONTEXT_LENGTH_MAX",
    decoder: recipeDecoder,
    value: at(run.recipe, "contextLength"),
    limit: CONTEXT_LENGTH_MAX,
  },
  {
    name: "UPDATE_BYTES_MAX",
    decoder: updateDecoder,
    value: at(update, "updateBytes"),
    limit: UPDATE_BYTES_MAX,
  },
  {
    name: "UPDATE_TOKENS_MAX",
    decoder: updateDecoder,
    value: at(update, "tokens"),
    limit: UPDATE_TOKENS_MAX,
  },
  {
    name: "BUDGET_TOKENS_MAX",
    decoder: budgetDecoder,
    value: at({}, "tokens"),
    limit: BUDGET_TOKENS_MAX,
  },
  {
    name: "NAME_CHARS_MAX",
    decoder: joinDecoder,
    value: (size) => ({ ...joinOf("ada"), name: "n".repeat(size) }),
    limit: NAME_CHARS_MAX,
  },
  {
    name: "STALENESS_MAX",
    decoder: roundPolicyDecoder,
    value: at({}, "stalenessMax"),
    limit: STALENESS_MAX,
  },
  { name: "BPS", decoder: roundPolicyDecoder, value: at({}, "quorumBps"), limit: BPS },
  {
    name: "WORKERS_MAX, of a policy",
    decoder: roundPolicyDecoder,
    value: at({}, "workersMin"),
    limit: WORKERS_MAX,
  },
  {
    name: "EVALUATE_WINDOWS_MAX",
    decoder: assignmentDecoder,
    value: (size) => ({ ...assignment, evaluate: evaluate(size) }),
    limit: EVALUATE_WINDOWS_MAX,
  },
  {
    name: "EVALUATE_WINDOWS_MAX, of a policy",
    decoder: roundPolicyDecoder,
    value: at({}, "evaluateWindows"),
    limit: EVALUATE_WINDOWS_MAX,
  },
  {
    name: "AUTHORITY_KEYS_MAX",
    decoder: serverMessageDecoder,
    value: (size) => ({ ...welcome, authority: many(size, () => authorityKey) }),
    limit: AUTHORITY_KEYS_MAX,
  },
  {
    name: "CARRIED_STATES_MAX",
    decoder: updateDecoder,
    value: (size) => ({ ...update, carried: many(size, () => carried) }),
    limit: CARRIED_STATES_MAX,
  },
  {
    name: "POSITION_END",
    decoder: serverMessageDecoder,
    value: at(round, "position"),
    limit: POSITION_END,
  },
  {
    name: "CLOSED_ROUNDS_MAX",
    decoder: serverMessageDecoder,
    value: (size) => ({ ...welcome, closed: many(size, () => closed) }),
    limit: CLOSED_ROUNDS_MAX,
  },
];

for (const { name, decoder, value, limit } of CASES) {
  test(`${name}: ${limit} is accepted, ${limit + 1} is refused`, () => {
    const atLimit = decoder(value(limit));
    assert.ok(atLimit.ok, atLimit.ok ? "" : JSON.stringify(atLimit.error));
    assert.equal(decoder(value(limit + 1)).ok, false);
  });
}

test(`WORKERS_MAX: worker ${WORKERS_MAX} joins, one more is refused, a known one may return`, () => {
  const created = step(null, runCreated(run), { now: 0 });
  assert.ok(created.ok);
  let state: RunState = created.value.state;
  for (let index = 0; index < WORKERS_MAX; index++) {
    const joined = step(state, workerJoined(`worker ${index}`, 0), { now: 0 });
    assert.ok(joined.ok, `worker ${index}`);
    state = joined.value.state;
  }
  const oneMore = step(state, workerJoined("one more", 0), { now: 0 });
  assert.equal(oneMore.ok ? "" : oneMore.error.code, "join/workers-full");
  const [first] = state.workers.keys();
  const left = step(
    state,
    { type: "WorkerLeft", tick: 0, workerId: first ?? "", reason: "left" },
    { now: 0 },
  );
  assert.ok(left.ok);
  assert.ok(step(left.value.state, workerJoined("worker 0", 0), { now: 0 }).ok);
});

test("UPDATE_TOKENS_MAX: a recipe's whole assignment fits, or the run is refused", () => {
  const recipe = { ...run.recipe, batchSequences: 4_096, contextLength: 8, innerSteps: 1 };
  const fits = UPDATE_TOKENS_MAX / (4_096 * 1_024);
  const model = { ...run.model, maxPositionEmbeddings: 1_024 };
  const rules = (innerSteps: number): boolean =>
    checkRunRules({ ...run, model, recipe: { ...recipe, contextLength: 1_024, innerSteps } }).ok;
  assert.equal(rules(fits), true);
  assert.equal(rules(fits + 1), false);
});

test("MESSAGE_BYTES_MAX: the longest commitment fits", () => {
  const { metrics } = update as { metrics: object };
  const longest = {
    type: "commit",
    signature: hash.repeat(2),
    update: {
      ...update,
      round: 2 ** 32,
      data: { kind: "range", firstSample: 2 ** 53 - 1, sampleCount: 2 ** 53 - 1 },
      tokens: UPDATE_TOKENS_MAX,
      innerSteps: INNER_STEPS_MAX,
      fragments: many(FRAGMENTS_MAX, (index) => index),
      updateBytes: UPDATE_BYTES_MAX,
      carried: many(CARRIED_STATES_MAX, () => ({ ...carried, name: "\u0001".repeat(64) })),
      metrics: {
        ...metrics,
        trainLossMicronats: 2 ** 53 - 1,
        innerStepMicros: INNER_STEP_MICROS_MAX,
        evaluation: { lossMicronats: 2 ** 53 - 1, tokens: 2 ** 53 - 1 },
      },
    },
  };
  assert.ok(clientMessageDecoder(longest).ok);
  const { length } = utf8(canonicalJson(longest as unknown as Json));
  assert.ok(length <= MESSAGE_BYTES_MAX, `${length} bytes`);
});

test("SERVER_MESSAGE_BYTES_MAX: the longest welcome fits", () => {
  const worst = "\u0001".repeat(256);
  const longest = {
    ...welcome,
    run: {
      ...run,
      tuning: {
        ...tuning,
        adapter: { ...adapter, targetModules: many(ADAPTER_TARGETS_MAX, () => worst) },
      },
      dataset: {
        ...run.dataset,
        files: many(DATA_FILES_MAX, () => ({ ...file, name: worst, byteLength: 2 ** 53 - 1 })),
      },
      fragments: many(FRAGMENTS_MAX, () => ({
        ...fragment,
        name: worst,
        shape: many(RANK_MAX, () => DIMENSION_MAX),
      })),
    },
    authority: many(AUTHORITY_KEYS_MAX, () => authorityKey),
    closed: many(CLOSED_ROUNDS_MAX, () => ({ ...(closed as object), round: 2 ** 32 })),
    current: {
      ...(welcome["current"] as object),
      assignment: { ...assignment, evaluate: { windows: many(4_096, () => 2 ** 53 - 1) } },
    },
  };
  assert.ok(serverMessageDecoder(longest).ok);
  const { length } = utf8(canonicalJson(longest as unknown as Json));
  assert.ok(length <= SERVER_MESSAGE_BYTES_MAX, `${length} bytes`);
});

test("every limit of the protocol has its row in docs/limits.md", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/limits.md"), "utf8");
  const source = readFileSync(join(import.meta.dirname, "limits.ts"), "utf8");
  const names = [...source.matchAll(/export const ([A-Z_]+) =/g)].map(([, name]) => name ?? "");
  assert.ok(names.length > 20, `${names.length} limits`);
  for (const name of names) {
    assert.ok(page.includes(`\`${name}\``), `docs/limits.md does not mention ${name}`);
  }
});

test("every reject code has its row in the specification", () => {
  const source = readFileSync(join(import.meta.dirname, "rejects.ts"), "utf8");
  const page = readFileSync(join(import.meta.dirname, "../../../docs/spec/03-protocol.md"), "utf8");
  const codes = [...source.matchAll(/\| "([a-z]+\/[a-z-]+)"/g)].map(([, code]) => code ?? "");
  const rows = [...page.matchAll(/^\| `([a-z]+\/[a-z-]+)` \|/gm)].map(([, code]) => code ?? "");
  assert.ok(codes.length > 30, `${codes.length} codes`);
  assert.deepEqual(rows.toSorted(compareText), codes.toSorted(compareText));
});
