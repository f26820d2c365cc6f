// SIGKILL under load, again and again: what was acknowledged is in a block after the next start, or
// waits for an earlier one of its sender that was not acknowledged.
// The real command as a real process.
import { ok } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Random } from "@manyhands/base/random";
import { type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { Process } from "../process.ts";

const LIMIT = { timeout: 240_000 };
const KILLS = 8;
const SEED = Number(process.env["CHAIN_SEED"] ?? 7);
const CHAIN_ID = 7_433_000;
const sender = privateKeyToAccount(keccak256(toHex("sender")));

async function ask(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const headers = { "content-type": "application/json" };
  const answer = await (await fetch(url, { method: "POST", headers, body })).json();
  const { result, error } = answer as { result: unknown; error?: { message: string } };
  ok(error === undefined, error?.message);
  return result;
}

test(`${KILLS} SIGKILLs under load: nothing that was acknowledged is lost`, LIMIT, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-chain-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const random = new Random(SEED);
  const acknowledged = new Set<Hex>();
  let inBlocks = 0;
  for (let kill = 0; kill <= KILLS; kill++) {
    const chain = new Process(["chain", "--folder", folder, "--port", "0", "--json"]);
    t.after(() => (chain.running ? chain.kill() : undefined));
    const [, url = ""] = await chain.says(/"url": ?"([^"]+)"/);
    inBlocks = Number(await ask(url, "eth_getTransactionCount", [sender.address, "latest"]));
    for (const hash of acknowledged) {
      const found = await ask(url, "eth_getTransactionByHash", [hash]);
      ok(found, `${hash} is lost after kill ${kill}`);
      const { blockNumber, nonce } = found as { blockNumber: Hex | null; nonce: Hex };
      ok(blockNumber !== null || Number(nonce) > inBlocks, `${hash}: it is its turn`);
    }
    if (kill === KILLS) {
      await chain.kill();
      break;
    }
    const dies = acknowledged.size + 5 + random.below(40);
    await load(url, inBlocks, (hash) => {
      acknowledged.add(hash);
      // In the middle of whatever it does next.
      if (acknowledged.size >= dies) chain.signal("SIGKILL");
    });
    await chain.exit;
  }
  t.diagnostic(`${acknowledged.size} acknowledged, ${inBlocks} in blocks, 0 lost; seed ${SEED}`);
});

/** Sends one after the other, eight at a time, until nobody answers. */
async function load(url: string, first: number, onDone: (hash: Hex) => void): Promise<void> {
  let nonce = first;
  const one = async (): Promise<void> => {
    for (;;) {
      const raw = await sender.signTransaction({
        type: "eip1559",
        chainId: CHAIN_ID,
        nonce: nonce++,
        gas: 21_000n,
        maxFeePerGas: 0n,
        maxPriorityFeePerGas: 0n,
        to: sender.address,
      });
      try {
        onDone((await ask(url, "eth_sendRawTransaction", [raw])) as Hex);
      } catch {
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, one));
}
