// What a coordinator with a chain tells of settlements and money: from the journal, the log and the
// chain. Not the settling: settle-beside.ts.
import { ManyhandsError } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import type { Contracts, OnChainRun, Settled } from "@manyhands/chain/settle/contracts";
import type { CreditTree } from "@manyhands/chain/settle/credit-tree";
import type { Journal, StoredSettlement } from "@manyhands/chain/settle/journal";
import { creditTreeOf } from "@manyhands/chain/settle/ledger";
import {
  bundleOf,
  NewestPosting,
  onChainRunIdOf,
  type Standing,
  takeSignature,
} from "@manyhands/chain/settle/settler";
import type {
  AccountStanding,
  PayStanding,
  SettlementDesk,
} from "@manyhands/coordinator/settlement-desk";
import type { Pay } from "@manyhands/protocol/pay";
import { isHex } from "viem";
import { accountText } from "../pay/account.ts";
import { standingText } from "../pay/standing.ts";
import { runPaths } from "../run/run-folder.ts";
import { madeRun } from "./adopt-run.ts";
import { EarnedNow } from "./earned-now.ts";
import { evidenceIn } from "./score-evidence.ts";

export type PayDeskParts = {
  readonly folder: string;
  readonly pay: Pay;
  readonly runId: string;
  readonly contracts: Contracts;
  /** For looking and for signatures: `Journal.beside`. */
  readonly journal: Journal;
  /** Where this process reaches the chain. */
  readonly rpc: string;
  /** One settlement now. @throws ManyhandsError */
  readonly settle: () => Promise<Standing>;
};

/** However often it is asked, the chain is asked so often. */
const FRESH_MS = 1_000;
const REMEMBERED_MAX = 4_096;

export function payDesk(parts: PayDeskParts): SettlementDesk {
  const { journal, contracts, pay } = parts;
  const money = new Money(parts);
  const posting = new NewestPosting();
  return {
    list: () =>
      journal.settlementPlaces().map(({ sequence, round }) => {
        return { sequence, round, attestors: [...journal.signatures(sequence).keys()] };
      }),
    bundle: (sequence) => journal.settlement(sequence)?.bundle ?? null,
    sign: async (sequence, signature) => {
      if (!isHex(signature)) return err("a signature is 0x and hex digits");
      const at = { journal, pay, settlement: contracts.settlement, posting };
      return said(async () => {
        await takeSignature(at, sequence, signature);
        return ok(null);
      });
    },
    standing: () => said(async () => ok(await money.standing())),
    account: (account) => said(async () => ok(await money.account(account))),
    settle: () => said(async () => ok(standingText(await parts.settle()))),
    adopt: (transaction) => said(() => adopt(parts, transaction)),
  };
}

/** What is known to go wrong becomes a sentence. */
async function said<T>(work: () => Promise<Result<T, string>>): Promise<Result<T, string>> {
  try {
    return await work();
  } catch (caught) {
    if (!(caught instanceof ManyhandsError)) throw caught;
    return err(caught.message);
  }
}

async function adopt(parts: PayDeskParts, transaction: string): Promise<Result<number, string>> {
  const { journal, contracts, pay, runId } = parts;
  if (!isHex(transaction)) return err("a transaction's hash is 0x and hex digits");
  const receipt = await contracts.client.receipt(transaction);
  if (!receipt) return err("the chain has no such transaction in a block yet: ask again");
  const made = madeRun(receipt, runId, pay);
  if (!made.ok) return made;
  const known = onChainRunIdOf(journal);
  if (known === null) journal.putFact("onChainRunId", String(made.value));
  else if (known !== made.value) return err(`this run is number ${known} on its chain already`);
  return made;
}

type Remembered = { readonly at: number; readonly value: Promise<unknown> };

class Money {
  readonly #parts: PayDeskParts;
  readonly #earned: EarnedNow;
  readonly #remembered = new Map<string, Remembered>();
  #tree: { readonly sequence: number; readonly tree: CreditTree } | null = null;

  constructor(parts: PayDeskParts) {
    this.#parts = parts;
    const { folder, pay } = parts;
    const evidence = pay.scores ? () => evidenceIn(folder) : null;
    this.#earned = new EarnedNow(runPaths(folder).log, pay, evidence);
  }

  standing(): Promise<PayStanding> {
    return this.#fresh("standing", () => this.#standing());
  }

  async account(account: string): Promise<AccountStanding> {
    const earned = await this.#fresh("earned", () => this.#earned.earned());
    const cumulative = earned.find((one) => one.account === account)?.cumulative ?? 0n;
    const id = onChainRunIdOf(this.#parts.journal);
    // Whoever has earned nothing is not asked for: the chain's answer would be nothing too.
    if (id === null || cumulative === 0n) return standingOf(account, { cumulative });
    return this.#fresh(account, () => this.#account(id, account, cumulative));
  }

  async #account(id: number, account: string, cumulative: bigint): Promise<AccountStanding> {
    const { contracts } = this.#parts;
    const address = accountText(account);
    const [settled, pending, paid] = await Promise.all([
      this.#fresh("settled", () => contracts.settled(id)),
      this.#fresh("pending", () => contracts.pending(id)),
      contracts.claimed(id, address),
    ]);
    const claim = this.#treeOf(settled)?.claimOf(address);
    const posted = this.#stored(pending?.sequence);
    const inPosted = posted && bundleOf(posted).accounts.find((one) => one.account === account);
    return standingOf(account, {
      ...{ cumulative, paid, claim },
      posted: BigInt(inPosted?.cumulative ?? 0),
    });
  }

  async #standing(): Promise<PayStanding> {
    const { contracts, journal, rpc } = this.#parts;
    const id = onChainRunIdOf(journal);
    const { registry, settlement, rewards, token } = contracts;
    return {
      token: await contracts.tokenWords(),
      contracts: { registry, settlement, rewards, token },
      localRpc: isLoopback(rpc) ? rpc : null,
      onChain: id === null ? null : await this.#onChain(id),
    };
  }

  async #onChain(runId: number): Promise<NonNullable<PayStanding["onChain"]>> {
    const { contracts } = this.#parts;
    const [run, settled, pending, next] = await Promise.all([
      contracts.run(runId),
      contracts.settled(runId),
      contracts.pending(runId),
      contracts.nextSequence(runId),
    ]);
    const posted = this.#placeOf(pending?.sequence);
    return {
      ...{ runId, ...factsOf(run), settled: `${settled.total}` },
      posted: posted && pending && { ...posted, finalAt: pending.finalAt },
      waiting: this.#waiting(next),
      final: this.#placeOf(settled.sequence),
    };
  }

  #waiting(next: number): NonNullable<PayStanding["onChain"]>["waiting"] {
    const { journal, pay } = this.#parts;
    const newest = journal.newestSettlement();
    if (!newest || newest.sequence < next) return null;
    const { sequence, round } = newest;
    return {
      ...{ sequence, round },
      missing: Math.max(0, pay.threshold - journal.signatures(sequence).size),
    };
  }

  #stored(sequence: number | undefined): StoredSettlement | undefined {
    return sequence === undefined ? undefined : this.#parts.journal.settlement(sequence);
  }

  #placeOf(sequence: number | undefined): { sequence: number; round: number } | null {
    const stored = this.#stored(sequence);
    return stored ? { sequence: stored.sequence, round: stored.round } : null;
  }

  /** A large run's tree takes a while: it is made once for a settlement. */
  #treeOf({ sequence }: Settled): CreditTree | null {
    if (this.#tree?.sequence === sequence) return this.#tree.tree;
    const stored = this.#stored(sequence);
    if (!stored) return null;
    this.#tree = { sequence, tree: creditTreeOf(bundleOf(stored)) };
    return this.#tree.tree;
  }

  #fresh<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const now = performance.now();
    const known = this.#remembered.get(key);
    if (known && now - known.at < FRESH_MS) return known.value as Promise<T>;
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    const value = ask();
    this.#remembered.set(key, { at: now, value });
    return value;
  }
}

function factsOf(run: OnChainRun) {
  const finishedAt = run.finishedAt === 0n ? null : Number(run.finishedAt);
  // As RunRegistry.reclaimUnspent has it.
  const wait = 3 * Number(run.challengeWindow) + 1;
  return {
    owner: run.owner,
    funded: `${run.funded}`,
    paid: `${run.paid}`,
    isPaused: run.paused,
    finishedAt,
    reclaimableAt: finishedAt === null ? null : finishedAt + wait,
  };
}

type AccountFacts = {
  readonly cumulative: bigint;
  readonly paid?: bigint;
  readonly posted?: bigint;
  readonly claim?: ReturnType<CreditTree["claimOf"]>;
};

function standingOf(account: string, facts: AccountFacts): AccountStanding {
  const { cumulative, paid = 0n, posted = 0n, claim } = facts;
  const due = claim?.cumulative ?? 0n;
  const isDue = claim !== undefined && due > paid;
  return {
    account: accountText(account),
    earned: `${cumulative}`,
    pending: `${posted > due ? posted - due : 0n}`,
    final: `${isDue ? due - paid : 0n}`,
    paid: `${paid}`,
    claim: isDue ? { cumulative: `${due}`, proof: claim.proof } : null,
  };
}

function isLoopback(url: string): boolean {
  return ["127.0.0.1", "[::1]", "localhost"].includes(new URL(url).hostname);
}
