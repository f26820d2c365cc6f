// What the dying settler and its judge have in common: keys, terms, and what is owed.
import { compareText } from "@manyhands/base/bytes";
import type { Pay } from "@manyhands/protocol/pay";
import { keccak256, toHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";

export type Orders = {
  readonly folder: string;
  readonly url: string;
  readonly chainId: number;
  readonly registry: string;
  readonly token: string;
  readonly round: number;
};

export const FUNDING = 1_000_000n;
export const WINDOW = 60;

export function keyed(name: string): PrivateKeyAccount {
  return privateKeyToAccount(keccak256(toHex(name)));
}

export function hexOf(address: string): string {
  return address.slice(2).toLowerCase();
}

/** By account, after a round. */
export function owed(round: number): readonly (readonly [string, bigint])[] {
  return [1, 2, 3].map((i) => {
    const account = hexOf(toHex(0xacc000 + i, { size: 20 }));
    return [account, BigInt(i * 1_000 * (round + 1) + i)] as const;
  });
}

export function payOf({ chainId, registry, token }: Orders): Pay {
  return {
    chain: { chainId, registry: hexOf(registry), token: hexOf(token) },
    ...{ unitsPerMillionTokens: 1, settleEvery: 1, threshold: 2, challengeWindowSeconds: WINDOW },
    shares: { trainingBps: 10_000, dataBps: 0, storageBps: 0 },
    ...{ dataAccount: null, storageAccount: null },
    attestors: ["one", "two"].map((name) => hexOf(keyed(name).address)).toSorted(compareText),
  };
}
