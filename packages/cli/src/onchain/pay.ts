// What `manyhands pay` does to a run on its chain: fund, settle, claim, and what is its owner's:
// pause, finish, reclaim. What is told of it is accounts.ts's.
import { InputError } from "@manyhands/base/errors";
import type { Contracts } from "@manyhands/chain/settle/contracts";
import { checkCreated } from "@manyhands/chain/settle/created";
import { type Allowing, Funding } from "@manyhands/chain/settle/funding";
import { Journal } from "@manyhands/chain/settle/journal";
import { type Ending, Owner } from "@manyhands/chain/settle/owner";
import { Sender } from "@manyhands/chain/settle/sender";
import { Settler, type Standing } from "@manyhands/chain/settle/settler";
import { formatUnits, parseUnits } from "viem";
import type { ChainFlags } from "../pay/chain-flags.ts";
import { findRunFolder } from "../run/run-folder.ts";
import { journalPath, openContracts, readKey } from "./open-chain.ts";
import { readPayLog } from "./pay-log.ts";

/** A coordinator that settles beside its run lets go of the journal again and again. */
const WAIT_MS = 20_000;

type Settling = {
  readonly contracts: Contracts;
  readonly settler: Settler;
  readonly sender: Sender;
  readonly funding: Funding;
  readonly owner: Owner;
  readonly ending: Ending;
};

async function settlingFor<T>(
  given: string,
  flags: ChainFlags,
  work: (settling: Settling) => Promise<T>,
): Promise<T> {
  const folder = findRunFolder(given);
  const { runId, pay, roundsClosed, ending } = readPayLog(folder);
  const account = await readKey(flags.key);
  const contracts = await openContracts(pay, flags);
  const journal = Journal.open(journalPath(folder), WAIT_MS);
  try {
    const sender = new Sender({ client: contracts.client, journal, account });
    const parts = { runId, pay, contracts, journal, sender };
    const settler = new Settler({
      ...parts,
      roundsClosed: () => roundsClosed,
      bundleWithin: (funded, place) => readPayLog(folder).bundleWithin(funded, place),
    });
    const [funding, owner] = [new Funding(parts), new Owner(parts)];
    return await work({ contracts, settler, sender, funding, owner, ending });
  } finally {
    journal.close();
  }
}

export type Funded = {
  readonly onChainRunId: number;
  readonly funded: string;
  /** How the token was told that the registry may take it. */
  readonly allowed: Allowing;
};

export type FundFlags = ChainFlags & { readonly mint?: boolean; readonly permit?: boolean };

/**
 * Makes the run on its chain if need be, and pays in. @param mint test dollars for it, first: only
 * tokens of no value let anybody do so
 */
export function fundRun(given: string, amount: string, flags: FundFlags): Promise<Funded> {
  return settlingFor(given, flags, async ({ contracts, funding, sender }) => {
    const { decimals, symbol } = await contracts.tokenWords();
    const units = unitsOf(amount, decimals);
    const { address } = sender.account;
    if (flags.mint) {
      const missing = units - (await contracts.balance(address));
      const call = contracts.tokenCall("mint", address, missing);
      if (missing > 0n) await sender.once(`mint:${missing}:${Date.now()}`, call);
    }
    const allowed = await funding.fund(units, flags.permit ? "permit" : "approve");
    const onChainRunId = await funding.create();
    const { funded } = await contracts.run(onChainRunId);
    return { onChainRunId, allowed, funded: `${formatUnits(funded, decimals)} ${symbol}` };
  });
}

function unitsOf(amount: string, decimals: number): bigint {
  const [, fraction = ""] = /^\d+(?:\.(\d+))?$/.exec(amount) ?? [undefined, undefined];
  const isNumber = /^\d+(\.\d+)?$/.test(amount);
  const units = isNumber && fraction.length <= decimals ? parseUnits(amount, decimals) : 0n;
  if (units > 0n) return units;
  throw new InputError(`${amount} is no amount of the run's token`, {
    hint: `Write it as 250 or 0.5, with at most ${decimals} decimals.`,
  });
}

/** One settlement now, as far as it goes: what is missing is in the answer. */
export function settleRun(given: string, flags: ChainFlags): Promise<Standing> {
  return settlingFor(given, flags, ({ settler }) => settler.advance(true));
}

/** @returns to how many accounts something was due */
export function claimRun(given: string, flags: ChainFlags): Promise<number> {
  return settlingFor(given, flags, async ({ settler, sender }) => {
    await sender.resume(checkCreated(settler.onChainRunId));
    const id = settler.onChainRunId;
    if (id === null) throw new InputError("this run was never funded: there is nothing to claim");
    return settler.claim(id);
  });
}

/** @throws RefusedError for who is not the owner, and while somebody's work is in no settlement */
export function finishRun(given: string, flags: ChainFlags, anyway: boolean): Promise<void> {
  return settlingFor(given, flags, ({ owner, ending }) => owner.finish(ending, anyway));
}

export type Taken = { readonly reclaimed: string; readonly kept: string; readonly token: string };

/** @throws as finishRun, and until three challenge windows after the finish */
export function reclaimRun(given: string, flags: ChainFlags, anyway: boolean): Promise<Taken> {
  return settlingFor(given, flags, async ({ owner, ending, contracts }) => {
    const { decimals, symbol } = await contracts.tokenWords();
    const { amount, kept } = await owner.reclaim(ending, anyway);
    const text = (units: bigint): string => formatUnits(units, decimals);
    return { reclaimed: text(amount), kept: text(kept), token: symbol };
  });
}

/** @throws RefusedError for who is not the owner */
export function pauseRun(given: string, flags: ChainFlags, isPaused: boolean): Promise<void> {
  return settlingFor(given, flags, ({ owner }) => owner.setPaused(isPaused));
}
