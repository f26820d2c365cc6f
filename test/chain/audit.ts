// Who should have been paid what, from the log's rows and the chain's answers alone: none of the
// product's code, so that a mistake there is not made here too.
import { equal, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { type Address, type Hex, keccak256, toHex } from "viem";

type Event = { readonly type: string; readonly [field: string]: unknown };
type Joined = {
  readonly signingKey: { readonly bytes: string };
  readonly payout: { readonly account: string } | null;
};
type Terms = {
  readonly unitsPerMillionTokens: number;
  readonly shares: Readonly<Record<"trainingBps" | "dataBps" | "storageBps", number>>;
  readonly dataAccount: string | null;
  readonly storageAccount: string | null;
};

/** H(domain, parts…) of docs/spec §3.1. */
function nameOf(signingKey: string): string {
  const domain = createHash("sha256").update("manyhands/worker/ed25519/v1").digest();
  return createHash("sha256").update(domain).update(Buffer.from(signingKey, "hex")).digest("hex");
}

/** By account, in units; by the log as it stands. */
export function owedByLog(path: string): ReadonlyMap<string, bigint> {
  const database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare("SELECT event FROM log ORDER BY sequence").all();
  database.close();
  let terms: Terms | undefined;
  let pending: (readonly [string, number])[] = [];
  let closing: (readonly [string, number])[] = [];
  let all = 0;
  const accountOf = new Map<string, string>();
  const tokens = new Map<string, number>();
  const add = (key: string, more: number): unknown =>
    tokens.set(key, (tokens.get(key) ?? 0) + more);
  for (const row of rows) {
    const event = JSON.parse(String(row["event"])) as Event;
    if (event.type === "RunCreated") terms = (event["run"] as { pay: Terms }).pay;
    if (event.type === "WorkerJoined") {
      const { signingKey, payout } = event["join"] as Joined;
      const worker = nameOf(signingKey.bytes);
      if (!payout) continue;
      accountOf.set(worker, payout.account);
      add(payout.account, tokens.get(worker) ?? 0);
      tokens.delete(worker);
    }
    if (event.type === "UpdateCommitted") {
      const { tokens: given } = event["update"] as { tokens: number };
      pending.push([String(event["workerId"]), given]);
    }
    if (event.type === "CommitmentsClosed") [closing, pending] = [pending, []];
    if (event.type !== "RoundClosed") continue;
    for (const [worker, given] of closing) {
      add(accountOf.get(worker) ?? worker, given);
      all += given;
    }
  }
  ok(terms, "the run has terms");
  const { unitsPerMillionTokens, shares, dataAccount, storageAccount } = terms;
  const units = (count: number, bps: number): bigint =>
    (BigInt(count) * BigInt(unitsPerMillionTokens) * BigInt(bps)) / 10_000_000_000n;
  const owed = new Map<string, bigint>();
  const owe = (account: string | null, amount: bigint): void => {
    if (account !== null) owed.set(account, (owed.get(account) ?? 0n) + amount);
  };
  for (const [who, count] of tokens) {
    // Names of workers without an account are longer.
    if (who.length === 40) owe(who, units(count, shares.trainingBps));
  }
  owe(dataAccount, units(all, shares.dataBps));
  owe(storageAccount, units(all, shares.storageBps));
  return owed;
}

/** One word of a contract's answer. */
export async function askChain(
  url: string,
  to: string,
  signature: string,
  ...args: readonly (string | bigint)[]
): Promise<readonly bigint[]> {
  const words = args.map((arg) => (typeof arg === "bigint" ? arg.toString(16) : arg.slice(2)));
  const selector = keccak256(toHex(signature)).slice(0, 10);
  const data = selector + words.map((word) => word.toLowerCase().padStart(64, "0")).join("");
  const call = { jsonrpc: "2.0", id: 1, method: "eth_call", params: [{ to, data }, "latest"] };
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(call) });
  const { result, error } = (await answer.json()) as { result: Hex; error?: unknown };
  equal(error, undefined, signature);
  return (result.slice(2).match(/.{64}/g) ?? []).map((word) => BigInt(`0x${word}`));
}

/** A token's balance of an account. */
export async function balanceOf(url: string, token: string, account: Address): Promise<bigint> {
  const [balance] = await askChain(url, token, "balanceOf(address)", account);
  return balance ?? 0n;
}
