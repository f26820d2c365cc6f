// Calls to the run's contracts as a wallet sends them: the selector and the words of the contract
// ABI. Only what a page needs, by hand: a library for it is larger than the page.
import { toHex, utf8 } from "@manyhands/base/bytes";
import type { Pay } from "@manyhands/protocol/pay";
import { keccak_256 } from "@noble/hashes/sha3.js";

/** A contract, and what it is told. Both 0x…. */
export type Call = { readonly to: string; readonly data: string };

type Proof = { readonly cumulative: string; readonly proof: readonly string[] };

/** Rewards.claim: pays the account, whoever sends it. */
export function claimCall(
  to: string,
  runId: number,
  account: string,
  { cumulative, proof }: Proof,
) {
  const claim = [word(account), word(BigInt(cumulative)), word(96), ...listOf(proof)];
  return call(to, "claim(uint64,(address,uint128,bytes32[]))", [word(runId), word(64), ...claim]);
}

/** The token's leave for the registry to take so much. */
export function approveCall(token: string, spender: string, amount: bigint): Call {
  return call(token, "approve(address,uint256)", [word(spender), word(amount)]);
}

/** Only the local chain's test dollar has it. */
export function mintCall(token: string, account: string, amount: bigint): Call {
  return call(token, "mint(address,uint256)", [word(account), word(amount)]);
}

/** RunRegistry.createRun with the run's own terms. @param runId of the log, 32 bytes in hex */
export function createRunCall(registry: string, runId: string, pay: Pay): Call {
  const config = [
    word(pay.chain.token),
    word(pay.challengeWindowSeconds),
    word(6 * 32),
    word(pay.threshold),
    word(runId),
    word(0),
    ...listOf(pay.attestors),
  ];
  const type = "createRun((address,uint64,address[],uint32,bytes32,bytes32))";
  return call(registry, type, [word(32), ...config]);
}

export function fundCall(registry: string, runId: number, amount: bigint): Call {
  return call(registry, "fund(uint64,uint256)", [word(runId), word(amount)]);
}

/** @param modelRoot 32 bytes in hex: what was trained */
export function finishCall(registry: string, runId: number, modelRoot: string): Call {
  return call(registry, "finish(uint64,bytes32)", [word(runId), word(modelRoot)]);
}

export function reclaimCall(registry: string, runId: number): Call {
  return call(registry, "reclaimUnspent(uint64)", [word(runId)]);
}

export function allowanceCall(token: string, account: string, spender: string): Call {
  return call(token, "allowance(address,address)", [word(account), word(spender)]);
}

export function balanceCall(token: string, account: string): Call {
  return call(token, "balanceOf(address)", [word(account)]);
}

function call(to: string, signature: string, words: readonly string[]): Call {
  const selector = toHex(keccak_256(utf8(signature)).subarray(0, 4));
  return { to: to.startsWith("0x") ? to : `0x${to}`, data: `0x${selector}${words.join("")}` };
}

function listOf(items: readonly string[]): readonly string[] {
  return [word(items.length), ...items.map(word)];
}

/** 32 bytes: a number, or hex of at most so many. */
function word(value: number | bigint | string): string {
  const hex = typeof value === "string" ? value.replace(/^0x/, "") : value.toString(16);
  return hex.toLowerCase().padStart(64, "0");
}
