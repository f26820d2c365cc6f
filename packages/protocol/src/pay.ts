// What a run pays, to whom, and who attests it: terms that are fixed with the run.
// Not money: that is on the chain, and how much there is of it is not the run's to say.
import {
  type Decoded,
  type DecodeProblem,
  type Decoder,
  fallback,
  hex,
  integer,
  list,
  nullable,
  object,
  type PathStep,
} from "@manyhands/base/decode";
import { ATTESTORS_MAX, BPS, CHALLENGE_SECONDS_MAX, STAKE_MAX, VALIDATORS_MAX } from "./limits.ts";
import type { Rule } from "./model-config.ts";

/** An account or a contract of an EVM chain. */
const accountDecoder = hex(20);

/** Whose scores decide who gets how much of a window, and with how much weight. */
const scoresDecoder = object({
  /** Ascending. Stakes are fixed with the run. */
  validators: list(object({ account: accountDecoder, stake: integer(1, STAKE_MAX) }), {
    min: 1,
    max: VALIDATORS_MAX,
  }),
});
type Scores = Decoded<typeof scoresDecoder>;

/** Absent from a run that pays nothing. @source docs/spec §9.1 */
const payFields = object({
  chain: object({ chainId: integer(1), registry: accountDecoder, token: accountDecoder }),
  /** Of the token's smallest unit, for a million tokens of credit; all shares together. */
  unitsPerMillionTokens: integer(1),
  shares: object({
    trainingBps: integer(0, BPS),
    dataBps: integer(0, BPS),
    storageBps: integer(0, BPS),
  }),
  /** Whose data it is, and who keeps and serves blobs; null where the share is 0. */
  dataAccount: fallback(nullable(accountDecoder), null),
  storageAccount: fallback(nullable(accountDecoder), null),
  /** A settlement every so many closed rounds. */
  settleEvery: integer(1, 1_000_000),
  /** Ascending. Settlements count with the signatures of `threshold` of them. */
  attestors: list(accountDecoder, { min: 1, max: ATTESTORS_MAX }),
  threshold: integer(1, ATTESTORS_MAX),
  /** From a settlement's posting until it is final. */
  challengeWindowSeconds: integer(0, CHALLENGE_SECONDS_MAX),
  /** Absent: accepted tokens are what counts. @source docs/spec §9.6 */
  scores: fallback<Scores | undefined>(scoresDecoder, undefined),
});
export type Pay = Omit<Decoded<typeof payFields>, "scores"> & {
  readonly scores?: Scores | undefined;
};
export const payDecoder: Decoder<Pay> = payFields;

/** What must hold between the fields. */
export function payRules(pay: Pay | undefined): readonly Rule[] {
  if (!pay) return [];
  const { trainingBps, dataBps, storageBps } = pay.shares;
  const sum = trainingBps + dataBps + storageBps;
  const isAscending = pay.attestors.every((one, i) => one > (pay.attestors[i - 1] ?? ""));
  return [
    [sum === BPS, wrong(["shares"], `a sum of ${sum}`, `shares that sum to ${BPS} basis points`)],
    accountRule("dataAccount", dataBps, pay.dataAccount),
    accountRule("storageAccount", storageBps, pay.storageAccount),
    [isAscending, wrong(["attestors"], "another order", "each attestor once, in ascending order")],
    [
      isAscendingBy(pay.scores?.validators ?? []),
      wrong(["scores", "validators"], "another order", "each validator once, in ascending order"),
    ],
    [
      pay.threshold <= pay.attestors.length,
      wrong(["threshold"], String(pay.threshold), `at most ${pay.attestors.length}, all attestors`),
    ],
  ];
}

function isAscendingBy(validators: Scores["validators"]): boolean {
  return validators.every(({ account }, i) => account > (validators[i - 1]?.account ?? ""));
}

function accountRule(field: string, bps: number, account: string | null): Rule {
  const expected = bps > 0 ? "an account, since it has a share" : "none, since its share is 0";
  return [bps > 0 === (account !== null), wrong([field], account ?? "nothing", expected)];
}

function wrong(path: readonly PathStep[], found: string, expected: string): DecodeProblem {
  return { path: ["pay", ...path], found, expected };
}
