// What a paid run is asked at its end: attestors who sign what they can compute again, and the
// audit, to the last unit. Not what goes before it: pay-stage.ts.
import { equal, match } from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "viem";
import type { Process } from "../process.ts";
import { askChain, balanceOf, owedByLog } from "./audit.ts";
import { done, type Stage } from "./pay-stage.ts";

/** What test runs are funded with: 100 dollars of 6 decimals. */
export const FUNDING = 100_000_000n;

export async function attest(
  { t, url, keys }: Stage,
  joinUrl: string,
  sequence: number,
): Promise<void> {
  for (const key of [keys.one, keys.two]) {
    const said = await done(t, ["attest", joinUrl, "--key", key, "--rpc", url]);
    match(said, new RegExp(`Settlement ${sequence} .* is what the log says`));
  }
}

/**
 * Both attestors sign whatever waits for them, until the coordinator has ended.
 *
 * @param signed what they have signed already @returns how many settlements there were
 */
export async function attestAll(
  stage: Stage,
  coordinator: Process,
  { joinUrl, signed }: { readonly joinUrl: string; readonly signed: Set<number> },
): Promise<number> {
  const headers = { authorization: `Bearer ${joinUrl.replace(/.*#/, "")}` };
  while (coordinator.running) {
    const list = await fetch(`${joinUrl.replace(/#.*/, "")}/settlements`, { headers })
      .then((answer) => answer.json() as Promise<readonly { sequence: number }[]>)
      .catch(() => []); // it has ended
    const newest = list.at(-1)?.sequence ?? 0;
    if (newest > 0 && !signed.has(newest)) {
      await attest(stage, joinUrl, newest);
      signed.add(newest);
    }
    await Promise.race([sleep(100), coordinator.exit]);
  }
  return signed.size;
}

/** By log and chain alone: everybody has what is owed, and the rest is still there. */
export async function audited({ out, url, dollar, registry }: Stage) {
  const owed = owedByLog(join(out, "log.sqlite"));
  let paidOut = 0n;
  for (const [account, units] of owed) {
    const balance = await balanceOf(url, dollar, `0x${account}`);
    equal(balance, units, `0x${account}, to the last unit`);
    paidOut += balance;
  }
  const unspent = await balanceOf(url, dollar, registry as Address);
  equal(paidOut + unspent, FUNDING, "payouts and what is left are what came in");
  const run = await askChain(url, registry, "getRun(uint64)", 1n);
  equal(run[6], paidOut, "the registry's own count");
  return { paidOut, accounts: owed.size };
}
