// What a token says of itself, where its maker would like more than to be named.
import { equal } from "node:assert/strict";
import { test } from "node:test";
import type { ChainClient } from "./client.ts";
import { Contracts } from "./contracts.ts";

const AT = { registry: "11".repeat(20), token: "22".repeat(20) };

async function symbolShown(symbol: string): Promise<string> {
  const answers: Readonly<Record<string, unknown>> = { symbol, decimals: 6 };
  const client: unknown = {
    chainId: 1,
    isContract: async () => true,
    read: async ({ functionName }: { readonly functionName: string }) =>
      answers[functionName] ?? `0x${"33".repeat(20)}`,
  };
  const contracts = await Contracts.open(client as ChainClient, AT);
  return (await contracts.tokenWords()).symbol;
}

test("a token's symbol is one short line", async () => {
  equal(await symbolShown("USD₮"), "USD₮");
  equal(await symbolShown("A".repeat(40)), "A".repeat(16));
  for (const one of ["", "\u001b[2J", "a\nb", "\u202eTDSU"]) equal(await symbolShown(one), "units");
});
