// The port behind which a run is settled: what the server tells of settlements and of money, and
// what it hands on. No chain and no money here: who settles is beside the coordinator.
import type { Result } from "@manyhands/base/result";
import type { ScoreDesk } from "./score-desk.ts";

export type SettlementEntry = {
  readonly sequence: number;
  /** The last closed round that it covers. */
  readonly round: number;
  /** Who has signed it, 0x…. */
  readonly attestors: readonly string[];
};

/** A settlement on its way. */
export type SettlementPlace = { readonly sequence: number; readonly round: number };

/** A run's money as its chain has it. Amounts: decimals, in the token's smallest unit. */
export type PayStanding = {
  readonly token: { readonly symbol: string; readonly decimals: number };
  /** Of the contracts, 0x…, with their checksums. */
  readonly contracts: Readonly<Record<"registry" | "settlement" | "rewards" | "token", string>>;
  /**
   * Where a wallet reaches the chain of this very machine; null for any other chain: wallets know
   * those, and the address that is used here may carry somebody's key.
   */
  readonly localRpc: string | null;
  /** Null until somebody has made the run there. */
  readonly onChain: {
    readonly runId: number;
    readonly owner: string;
    readonly funded: string;
    readonly paid: string;
    /** All that is final, paid or not. */
    readonly settled: string;
    readonly isPaused: boolean;
    /** Seconds since 1970; null while it is open. */
    readonly finishedAt: number | null;
    /** From when on the owner may take back what nobody has earned. */
    readonly reclaimableAt: number | null;
    readonly posted: (SettlementPlace & { readonly finalAt: number }) | null;
    /** Not on the chain yet. */
    readonly waiting: (SettlementPlace & { readonly missing: number }) | null;
    /** The newest that is final. */
    readonly final: SettlementPlace | null;
  } | null;
};

/** One account of a run. Amounts as above. */
export type AccountStanding = {
  readonly account: string;
  /** By the log as it stands. */
  readonly earned: string;
  /** Of it: posted, in the challenge window. */
  readonly pending: string;
  /** Of it: final, and not paid yet. */
  readonly final: string;
  readonly paid: string;
  /** What proves the final part to the contract; null where nothing is due. */
  readonly claim: { readonly cumulative: string; readonly proof: readonly string[] } | null;
};

/** A run's settlements, as somebody beside the coordinator keeps them. */
export type SettlementDesk = {
  /** Where the run's validators score its windows; absent where accepted tokens count. */
  readonly scores?: ScoreDesk | undefined;
  /** Oldest first. */
  list(): readonly SettlementEntry[];
  /** The bundle's canonical text; null if there is none of this number. */
  bundle(sequence: number): string | null;
  /** Takes an attestor's signature; a refusal says why. */
  sign(sequence: number, signature: string): Promise<Result<null, string>>;
  /** The error says why the chain could not be asked. */
  standing(): Promise<Result<PayStanding, string>>;
  /** @param account 20 bytes in hex */
  account(account: string): Promise<Result<AccountStanding, string>>;
  /** One settlement now, however few rounds it covers. @returns how far it went, in a sentence */
  settle(): Promise<Result<string, string>>;
  /** The owner's wallet has made the run on its chain, by this transaction. @returns its number */
  adopt(transaction: string): Promise<Result<number, string>>;
};
