// The run file: what an owner writes. Fields, defaults, and the human units of durations and
// shares. Not the frozen run: that has the data's hashes and the first weights' root too
// (freeze.ts).
import { assert } from "@manyhands/base/assert";
import { compareText } from "@manyhands/base/bytes";
import {
  checked,
  type Decoded,
  type Decoder,
  describe,
  fallback,
  flag,
  integer,
  line,
  list,
  nullable,
  object,
  oneOf,
  real,
  text,
} from "@manyhands/base/decode";
import { err, ok } from "@manyhands/base/result";
import {
  ATTESTORS_MAX,
  BPS,
  DATA_FILES_MAX,
  NAME_CHARS_MAX,
  STAKE_MAX,
  STALENESS_MAX,
  VALIDATORS_MAX,
  WORKERS_MAX,
} from "@manyhands/protocol/limits";
import { type Model, modelDecoder } from "@manyhands/protocol/model-config";
import type { Pay } from "@manyhands/protocol/pay";
import { budgetDecoder, recipeDecoder, roundPolicyDecoder } from "@manyhands/protocol/run-config";
import { adapterFields, baseKindDecoder } from "@manyhands/protocol/tuning";
import { isAddress } from "viem/utils";
import { accountHex } from "../pay/account.ts";
import { LOCAL_CHAIN } from "../pay/local-chain.ts";

const PATH_CHARS_MAX = 4_096;
const LOCAL_WORKERS_MAX = 256;
const DAY_MS = 86_400_000;
const UNIT_MS: { readonly [unit: string]: number } = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const DURATION = /^(\d+(?:\.\d+)?) ?(ms|s|m|h)$/;

/** `500ms`, `30s`, `10m`, `1.5h`; undefined for anything else. */
export function durationMs(value: unknown): number | undefined {
  const match = typeof value === "string" ? DURATION.exec(value) : null;
  const unit = UNIT_MS[match?.[2] ?? ""];
  return match && unit !== undefined ? Math.round(Number(match[1]) * unit) : undefined;
}

/** A duration with its unit, as milliseconds. */
function duration(minMs: number): Decoder<number> {
  const inner = checked(
    `a duration of ${minMs === 0 ? "0s" : `${minMs}ms`} to 24h with its unit, such as 30s or 10m`,
    (value): value is string => {
      const ms = durationMs(value);
      return ms !== undefined && ms >= minMs && ms <= DAY_MS;
    },
  );
  return (value, path = []) => {
    const decoded = inner(value, path);
    return decoded.ok ? ok(durationMs(decoded.value) ?? 0) : decoded;
  };
}

/** A share such as 0.6, as basis points. */
function share(min: number, max: number): Decoder<number> {
  const inner = real(min, max);
  return (value, path = []) => {
    const decoded = inner(value, path);
    return decoded.ok ? ok(Math.round(decoded.value * BPS)) : decoded;
  };
}

/** An account as 20 bytes in hex. YAML reads 0x… without quotes as a number. */
const account: Decoder<string> = (value, path = []) => {
  const expected = 'an account in quotes, "0x…", with its checksum';
  const text = typeof value === "string" && isAddress(value) ? accountHex(value) : undefined;
  return text === undefined ? err({ path, expected, found: describe(value) }) : ok(text);
};

const chainDecoder = object({ chainId: integer(1), registry: account, token: account });
const chainField: Decoder<Pay["chain"]> = (value, path) =>
  value === "local" ? ok(LOCAL_CHAIN) : chainDecoder(value, path);

function optional<T>(inner: Decoder<T>): Decoder<T | undefined> {
  return fallback<T | undefined>(inner, undefined);
}

/** The round policy in human units; what is left out takes the protocol's default. */
const roundsDecoder = object({
  workersMin: optional(integer(1, WORKERS_MAX)),
  wait: optional(duration(0)),
  quorum: optional(share(0.0001, 1)),
  grace: optional(share(0, 10)),
  longest: optional(duration(100)),
  lease: optional(duration(100)),
  stalenessMax: optional(integer(0, STALENESS_MAX)),
  evaluateEvery: optional(integer(1, 1_000_000)),
  evaluateWindows: optional(integer(0, 65_536)),
});
export type RoundsField = Decoded<typeof roundsDecoder>;

const sharesDecoder = object({
  training: fallback(share(0, 1), BPS),
  data: fallback(share(0, 1), 0),
  storage: fallback(share(0, 1), 0),
});

const payField = object({
  /** `local`: the one of `manyhands chain`, with its test dollar. */
  chain: fallback(chainField, LOCAL_CHAIN),
  /** Of the token's smallest unit: with 6 decimals, 2500000 are 2.5 tokens. */
  unitsPerMillionTokens: integer(1),
  shares: (value, path) => sharesDecoder(value === undefined ? {} : value, path),
  dataAccount: optional(account),
  storageAccount: optional(account),
  settleEvery: fallback(integer(1, 1_000_000), 10),
  attestors: list(account, { min: 1, max: ATTESTORS_MAX }),
  /** Left out: all of them. */
  threshold: optional(integer(1, ATTESTORS_MAX)),
  challengeWindow: fallback(duration(0), 3_600_000),
  /** Whose scores say how much of a window is whose. Left out: accepted tokens do. */
  scores: optional(
    object({
      validators: list(object({ account, stake: fallback(integer(1, STAKE_MAX), 1) }), {
        min: 1,
        max: VALIDATORS_MAX,
      }),
    }),
  ),
});

const dataDecoder = object({
  /** Files and folders, relative to the run file. */
  files: list(text(PATH_CHARS_MAX), { min: 1, max: DATA_FILES_MAX }),
  /** The last share of the data, held out for validation. */
  validation: fallback(share(0.0001, 0.5), 1_000),
  /** What examples teach: the assistant's or the completion's words, or all of them. */
  loss: fallback(oneOf("assistant", "all"), "assistant"),
  /** Whether one bad line of a .jsonl file ends it; else such lines are left out, and told. */
  strict: fallback(flag, false),
});

/** A model's shape, to be trained from nothing; or where a trained model is. */
const modelField: Decoder<Model | string> = (value, path) =>
  typeof value === "string" ? text(PATH_CHARS_MAX)(value, path) : modelDecoder(value, path);

const loraDecoder = object({
  ...adapterFields,
  /** How workers store the frozen weights. */
  base: fallback(baseKindDecoder, "q4"),
});

export const runFileDecoder = object({
  name: line(NAME_CHARS_MAX),
  model: modelField,
  /** How a trained model is trained on. Left out: a model is trained from nothing. */
  method: optional(oneOf("lora", "full")),
  /** The adapters of method lora, by PEFT's names. */
  lora: optional(loraDecoder),
  tokenizer: fallback(oneOf("bytes"), "bytes"),
  data: dataDecoder,
  recipe: recipeDecoder,
  rounds: (value, path) => roundsDecoder(value === undefined ? {} : value, path),
  budget: budgetDecoder,
  seed: fallback(integer(0), 0),
  /** What is paid for accepted tokens, and to whom. Left out: nothing. */
  pay: optional(payField),
  /** Workers that `run` and `demo` start on this machine; not part of the run's id. */
  workers: fallback(integer(0, LOCAL_WORKERS_MAX), 1),
  /** An SPDX name for the model card; not part of the run's id. */
  license: fallback(nullable(text(NAME_CHARS_MAX)), null),
  /**
   * Tokens of one step of the tuned synchronous run that the report's bytes are compared with; left
   * out, one step of every contributor. Not part of the run's id.
   */
  dataParallelBatch: fallback(nullable(integer(1)), null),
});
export type RunFile = Decoded<typeof runFileDecoder>;

/** The protocol's terms from the file's. */
export function payOf(file: Pick<RunFile, "pay">): Pay | undefined {
  const { pay } = file;
  if (!pay) return undefined;
  const { training, data, storage } = pay.shares;
  const validators = pay.scores?.validators.toSorted((a, b) => compareText(a.account, b.account));
  return {
    chain: pay.chain,
    unitsPerMillionTokens: pay.unitsPerMillionTokens,
    shares: { trainingBps: training, dataBps: data, storageBps: storage },
    dataAccount: pay.dataAccount ?? null,
    storageAccount: pay.storageAccount ?? null,
    settleEvery: pay.settleEvery,
    attestors: pay.attestors.toSorted(compareText),
    threshold: pay.threshold ?? pay.attestors.length,
    challengeWindowSeconds: Math.ceil(pay.challengeWindow / 1_000),
    ...(validators ? { scores: { validators } } : {}),
  };
}

/** The protocol's policy from the file's units. */
export function roundPolicyOf(rounds: RoundsField): Decoded<typeof roundPolicyDecoder> {
  const policy = roundPolicyDecoder({
    workersMin: rounds.workersMin,
    waitMs: rounds.wait,
    quorumBps: rounds.quorum,
    graceBps: rounds.grace,
    roundMsMax: rounds.longest,
    leaseMs: rounds.lease,
    stalenessMax: rounds.stalenessMax,
    evaluateEvery: rounds.evaluateEvery,
    evaluateWindows: rounds.evaluateWindows,
  });
  assert(policy.ok, "the file's rounds are within the protocol's bounds");
  return policy.value;
}
