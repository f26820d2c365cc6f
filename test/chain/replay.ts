// A run's whole life on one chain, sent to another one again: the same bytes at the same times.
// What both say of each transaction is compared: outcome, gas, logs.
import { deepEqual, ok } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { TestContext } from "node:test";
import { deploymentsOn } from "@manyhands/chain/local/deploy";
import { type Hex, hexToNumber, keccak256 } from "viem";
import { ask, openAnvilWith } from "./backends.ts";
import { CHAIN_ID } from "./pay-stage.ts";

type Log = { readonly address: string; readonly topics: readonly string[]; readonly data: string };
type Receipt = {
  readonly status: string;
  readonly gasUsed: string;
  readonly blockNumber: Hex;
  readonly contractAddress: string | null;
  readonly logs: readonly Log[];
};

/** @returns of how many transactions both chains have said the same */
export async function replayed(t: TestContext, url: string, journal: string): Promise<number> {
  const database = new DatabaseSync(journal, { readOnly: true });
  const rows = database.prepare("SELECT raw FROM transactions WHERE state = 'mined' ORDER BY id");
  const raws = rows.all().map((row) => String(row["raw"]) as Hex);
  database.close();
  const made = (await deploymentsOn(CHAIN_ID)).map(({ raw }) => raw);
  const free = ["--no-mining", "--base-fee", "0", "--gas-price", "0", "--timestamp", "1"];
  const other = await openAnvilWith(CHAIN_ID, free);
  t.after(() => other.close());
  for (const raw of [...made, ...raws]) {
    const hash = keccak256(raw);
    const here = (await ask(url, "eth_getTransactionReceipt", [hash])) as Receipt;
    ok(here, `${hash} is in the chain`);
    const block = await ask(url, "eth_getBlockByNumber", [here.blockNumber, false]);
    const { timestamp } = block as { timestamp: Hex };
    await ask(other.url, "eth_sendRawTransaction", [raw]);
    await ask(other.url, "evm_setNextBlockTimestamp", [hexToNumber(timestamp)]);
    await ask(other.url, "evm_mine", []);
    const there = (await ask(other.url, "eth_getTransactionReceipt", [hash])) as Receipt;
    deepEqual(plain(there), plain(here));
  }
  return made.length + raws.length;
}

function plain({ status, gasUsed, contractAddress, logs }: Receipt) {
  return {
    ...{ status, gasUsed, contractAddress: contractAddress?.toLowerCase() ?? null },
    logs: logs.map(({ address, topics, data }) => ({ address, topics, data })),
  };
}
