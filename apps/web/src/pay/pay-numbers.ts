// Pay in numbers, from what the coordinator tells: prices, what is left, and where an account's
// money is, with the reason for each part. Pure.
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import type { AccountStanding, PayStanding } from "@manyhands/coordinator/settlement-desk";
import type { Pay } from "@manyhands/protocol/pay";
import { amountText, type TokenWords } from "../format.ts";
import { payTexts } from "../texts-pay.ts";

const BPS = 10_000n;
const PER = 1_000_000n;
/** Where the chain is not asked: amounts are what they are, without a name. */
const UNNAMED: TokenWords = { symbol: "units", decimals: 0 };
/** The number of `manyhands chain`. */
const LOCAL_CHAIN_ID = 7_433_000;

export function tokenWords(told: PayTold): TokenWords {
  return told.standing?.token ?? UNNAMED;
}

/** Of a million tokens, to whom trained them. */
export function trainingPrice({ unitsPerMillionTokens, shares }: Pay): bigint {
  return (BigInt(unitsPerMillionTokens) * BigInt(shares.trainingBps)) / BPS;
}

/** One operator's own ledger, whatever it is called. */
export function isLocal({ terms, standing }: PayTold): boolean {
  return terms.chain.chainId === LOCAL_CHAIN_ID || (standing?.localRpc ?? null) !== null;
}

export type Budget = { readonly left: bigint; readonly funded: bigint; readonly tokens: number };

/** What nobody has earned yet, and how many more tokens that pays; null while it is not known. */
export function budgetOf({ terms, standing }: PayTold, tokensCommitted: number): Budget | null {
  if (!standing) return null;
  const funded = BigInt(standing.onChain?.funded ?? 0);
  const price = BigInt(terms.unitsPerMillionTokens);
  const earned = (BigInt(tokensCommitted) * price) / PER;
  const left = funded > earned ? funded - earned : 0n;
  return { left, funded, tokens: Number((left * PER) / price) };
}

export type PayLine = {
  readonly key: "earned" | "waits" | "pending" | "final" | "paid";
  readonly name: string;
  readonly amount: string;
  readonly why: string;
};

/** Earned, and where all of it is. The last four sum to the first. */
export function payLines(told: PayTold, account: AccountStanding): readonly PayLine[] {
  const { own } = payTexts;
  const words = tokenWords(told);
  const [earned = 0n, pending = 0n, final = 0n, paid = 0n] = (
    ["earned", "pending", "final", "paid"] as const
  ).map((part) => BigInt(account[part]));
  const settled = pending + final + paid;
  const waits = earned > settled ? earned - settled : 0n;
  const price = amountText(trainingPrice(told.terms), words);
  const line = (key: PayLine["key"], units: bigint, why: string): PayLine => ({
    ...{ key, why, name: own[key], amount: amountText(units, words) },
  });
  const posted = told.standing?.onChain?.posted;
  return [
    line("earned", earned, told.terms.scores ? own.earnedScored(price) : own.earnedWhy(price)),
    line("waits", waits, waits === 0n ? own.waitsNothing : whyItWaits(told)),
    line(
      "pending",
      pending,
      posted && pending > 0n ? own.pendingWhy(posted.sequence, posted.finalAt) : own.pendingNothing,
    ),
    line("final", final, final > 0n ? own.finalWhy : own.finalNothing),
    line("paid", paid, paid > 0n ? own.paidWhy : own.paidNothing),
  ];
}

function whyItWaits({ terms, standing, trouble }: PayTold): string {
  const { own } = payTexts;
  if (!standing) return trouble ?? own.noSettler;
  const { onChain } = standing;
  if (!onChain) return own.waitsNotMade;
  if (onChain.finishedAt !== null) return own.waitsClosed;
  if (onChain.isPaused) return own.waitsPaused;
  if (onChain.funded === "0") return own.waitsNotFunded;
  return waitsFor(onChain) ?? own.waitsRounds(terms.settleEvery);
}

function waitsFor({ waiting }: NonNullable<PayStanding["onChain"]>): string | null {
  if (!waiting) return null;
  const { sequence, missing } = waiting;
  const { own } = payTexts;
  return missing > 0 ? own.waitsSignatures(sequence, missing) : own.waitsPosting(sequence);
}
