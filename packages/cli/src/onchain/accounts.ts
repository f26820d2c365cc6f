// A run's accounts as people read them: earned, pending, final and paid, with the reason for each
// that is not paid yet.
import { existsSync } from "node:fs";
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import type { Contracts, OnChainRun } from "@manyhands/chain/settle/contracts";
import { Journal } from "@manyhands/chain/settle/journal";
import { bundleOf, onChainRunIdOf } from "@manyhands/chain/settle/settler";
import { formatUnits } from "viem";
import { accountText } from "../pay/account.ts";
import type { ChainFlags } from "../pay/chain-flags.ts";
import { findRunFolder } from "../run/run-folder.ts";
import { journalPath, openContracts } from "./open-chain.ts";
import { type PayLog, readPayLog } from "./pay-log.ts";

/** Amounts are decimals of the token. */
export type AccountRow = {
  readonly account: string;
  /** Names of the devices that earn for it now. */
  readonly devices: readonly string[];
  /** By the log as it stands. */
  readonly earned: string;
  /** Of it: posted, in the challenge window. */
  readonly pending: string;
  /** Of it: final on the chain, not paid yet. */
  readonly final: string;
  readonly paid: string;
  /** Why what is not paid is not. */
  readonly why: string;
};

type DeviceTokens = { readonly device: string; readonly tokens: number };

export type RunOnChain = "not there" | "open" | "paused" | "finished";

export type AccountsTold = {
  readonly runId: string;
  readonly name: string;
  readonly token: string;
  readonly onChainRunId: number | null;
  /** On the chain: whether it takes settlements. */
  readonly state: RunOnChain;
  readonly funded: string;
  readonly paid: string;
  readonly accounts: readonly AccountRow[];
  /** Devices that nobody named an account for: their tokens wait. */
  readonly unnamed: readonly DeviceTokens[];
  /** Devices whose tokens wait for their window's scores, where validators score. */
  readonly unscored: readonly DeviceTokens[];
  /** Why the chain could not be asked; null if it was. */
  readonly trouble: string | null;
};

/** What the chain and the journal say of a run. */
type OnChain = {
  readonly id: number | null;
  readonly state: RunOnChain;
  readonly funded: bigint;
  readonly paid: bigint;
  readonly finalAt: number | null;
  readonly pending: ReadonlyMap<string, bigint>;
  readonly final: ReadonlyMap<string, bigint>;
  readonly claimed: ReadonlyMap<string, bigint>;
};

const NOTHING: OnChain = {
  ...{ id: null, state: "not there", funded: 0n, paid: 0n, finalAt: null },
  ...{ pending: new Map(), final: new Map(), claimed: new Map() },
};

/** @param given a run's folder or id */
export async function tellAccounts(given: string, flags: ChainFlags): Promise<AccountsTold> {
  const folder = findRunFolder(given);
  const log = readPayLog(folder);
  try {
    const contracts = await openContracts(log.pay, flags);
    const words = await contracts.tokenWords();
    return told(log, await onChainOf(folder, log, contracts), { ...words, trouble: null });
  } catch (caught) {
    if (!(caught instanceof ManyhandsError)) throw caught;
    return told(log, NOTHING, { symbol: "units", decimals: 0, trouble: messageOf(caught) });
  }
}

async function onChainOf(folder: string, log: PayLog, contracts: Contracts): Promise<OnChain> {
  const path = journalPath(folder);
  if (!existsSync(path)) return NOTHING;
  const journal = Journal.beside(path);
  try {
    const id = onChainRunIdOf(journal);
    if (id === null) return NOTHING;
    const settlements = journal.settlements();
    const owedBy = (sequence: number | undefined): ReadonlyMap<string, bigint> => {
      const stored = settlements.find((one) => one.sequence === sequence);
      const accounts = stored ? bundleOf(stored).accounts : [];
      return new Map(accounts.map(({ account, cumulative }) => [account, BigInt(cumulative)]));
    };
    const [run, pending, settled] = [
      await contracts.run(id),
      await contracts.pending(id),
      await contracts.settled(id),
    ];
    const claims = log.book.earned().map(async ({ account }) => {
      return [account, await contracts.claimed(id, accountText(account))] as const;
    });
    const claimed = new Map(await Promise.all(claims));
    const state = stateOf(run);
    return {
      ...{
        id,
        state,
        funded: run.funded,
        paid: run.paid,
        finalAt: pending?.finalAt ?? null,
        claimed,
      },
      ...{ pending: owedBy(pending?.sequence), final: owedBy(settled.sequence) },
    };
  } finally {
    journal.close();
  }
}

function stateOf({ paused, finishedAt }: OnChainRun): RunOnChain {
  if (finishedAt > 0n) return "finished";
  return paused ? "paused" : "open";
}

type Words = {
  readonly symbol: string;
  readonly decimals: number;
  readonly trouble: string | null;
};

function told(log: PayLog, chain: OnChain, words: Words): AccountsTold {
  const { symbol, decimals, trouble } = words;
  const amount = (units: bigint): string => formatUnits(units, decimals);
  const { workers } = log.book;
  const accounts = log.book.earned().map(({ account, cumulative }): AccountRow => {
    const paid = chain.claimed.get(account) ?? 0n;
    const due = chain.final.get(account) ?? 0n;
    const pending = chain.pending.get(account) ?? 0n;
    const final = due > paid ? due - paid : 0n;
    const waits = pending > due ? pending - due : 0n;
    const devices = workers.flatMap((one) => (one.account === account ? [one.name] : []));
    return {
      ...{ account: accountText(account), devices, earned: amount(cumulative) },
      ...{ pending: amount(waits), final: amount(final), paid: amount(paid) },
      why: trouble ?? whyOf({ open: cumulative - paid - final - waits, waits, final }, chain),
    };
  });
  const [unnamed, unscored] = (["unnamed", "unscored"] as const).map((part) =>
    workers.flatMap((one) => (one[part] > 0 ? [{ device: one.name, tokens: one[part] }] : [])),
  );
  return {
    ...{ runId: log.runId, name: log.name, token: symbol, onChainRunId: chain.id, trouble },
    state: chain.state,
    ...{ funded: amount(chain.funded), paid: amount(chain.paid), accounts },
    ...{ unnamed: unnamed ?? [], unscored: unscored ?? [] },
  };
}

type Parts = { readonly open: bigint; readonly waits: bigint; readonly final: bigint };

function whyOf({ open, waits, final }: Parts, { id, funded, finalAt }: OnChain): string {
  const reasons: string[] = [];
  if (final > 0n) reasons.push("final: it can be claimed");
  if (waits > 0n) reasons.push(`posted: final at ${timeText(finalAt ?? 0)}`);
  if (open > 0n && (id === null || funded === 0n)) reasons.push("the run is not funded");
  else if (open > 0n) reasons.push("not in a settlement yet");
  return reasons.length > 0 ? reasons.join("; ") : "paid";
}

function timeText(seconds: number): string {
  return `${new Date(seconds * 1_000).toISOString().slice(0, 19)}Z`;
}

/** One line per account, for spreadsheets. */
export function accountsCsv({ accounts, token }: AccountsTold): string {
  const head = ["account", "devices", "token", "earned", "pending", "final", "paid", "why"];
  const rows = accounts.map((row) => [
    ...[row.account, row.devices.join(" "), token],
    ...[row.earned, row.pending, row.final, row.paid, row.why],
  ]);
  return [head, ...rows].map((cells) => cells.map(csvCell).join(",")).join("\n");
}

/** Names are people's: a cell that begins like a formula must not become one. */
function csvCell(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
