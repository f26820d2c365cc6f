// What a wallet signs once, so that a device works for its account: EIP-712 typed data, and the one
// form in which a log has the signature. Not its check: that is large, and in delegation-check.ts.
import { isHex } from "@manyhands/base/bytes";
import type { Payout, WorkerId } from "./keys.ts";
import type { Pay } from "./pay.ts";
import type { RunId } from "./run-config.ts";

/** Who lets whom work for it, and where: for one device, in one run, on one chain. */
export type Delegation = {
  readonly chain: Pick<Pay["chain"], "chainId" | "registry">;
  /** Whose the device's credit is, 20 bytes in hex. */
  readonly account: Payout["account"];
  readonly device: WorkerId;
  readonly run: RunId;
};

export const DELEGATION_DOMAIN = { name: "Manyhands", version: "1" } as const;

export const DELEGATION_TYPES = {
  EIP712Domain: [
    { name: "name", type: "string" },
    { name: "version", type: "string" },
    { name: "chainId", type: "uint256" },
    { name: "verifyingContract", type: "address" },
  ],
  Delegation: [
    { name: "account", type: "address" },
    { name: "device", type: "bytes32" },
    { name: "run", type: "bytes32" },
  ],
} as const;

/**
 * A delegation as wallets are asked for it: `eth_signTypedData_v4`, viem's `signTypedData`.
 *
 * @source docs/spec §9.2
 */
export function delegationTypedData({ chain, account, device, run }: Delegation) {
  return {
    domain: {
      ...DELEGATION_DOMAIN,
      chainId: chain.chainId,
      verifyingContract: `0x${chain.registry}` as const,
    },
    types: DELEGATION_TYPES,
    primaryType: "Delegation",
    message: {
      account: `0x${account}` as const,
      device: `0x${device}` as const,
      run: `0x${run}` as const,
    },
  } as const;
}

/**
 * A wallet's answer as a join has it: r ‖ s ‖ v, 65 bytes in lower-case hex, v 27 or 28. Some
 * wallets write v as 0 or 1.
 *
 * @returns null for what no key of one person gives: a contract wallet's answer is longer, or
 * shorter, and only a chain could check it
 */
export function delegationHex(answer: string): string | null {
  const hex = answer.trim().toLowerCase().replace(/^0x/, "");
  if (!isHex(hex, 65)) return null;
  const v = Number.parseInt(hex.slice(-2), 16);
  const recovery = v >= 27 ? v - 27 : v;
  if (recovery > 1) return null;
  return hex.slice(0, -2) + (27 + recovery).toString(16);
}
