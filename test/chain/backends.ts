// The chains on which the suite runs: our local one, and anvil. Both as processes would see them:
// an address for JSON-RPC, and a way to let time pass.
import { fail } from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { defined } from "@manyhands/base/assert";
import { LocalChain } from "@manyhands/chain/local/chain";
import { serveChain } from "@manyhands/chain/local/server";
import { type Hex, keccak256 } from "viem";

export const CHAIN_ID = 7_433_001;

export type TestChain = {
  readonly name: string;
  readonly url: string;
  /** Lets so many seconds pass. */
  wait(seconds: number): Promise<void>;
  close(): Promise<void>;
};

export async function openLocal(): Promise<TestChain> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-chain-"));
  let seconds = 1_800_000_000;
  const path = join(folder, "chain.sqlite");
  const chain = await LocalChain.open({ path, chainId: CHAIN_ID, now: () => seconds });
  const server = await serveChain(chain);
  return {
    name: "local",
    url: server.url,
    async wait(more) {
      seconds += more;
      await chain.mine();
    },
    async close() {
      await server.close();
      await chain.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** The program itself: the launcher that npm links would not hand a signal on. */
function anvil(): string {
  const names: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
  const platform = `${process.platform}-${names[process.arch] ?? process.arch}`;
  const folder = join(import.meta.dirname, "../../contracts/node_modules/@foundry-rs");
  return join(folder, `anvil-${platform}`, "bin", "anvil");
}

/** Like our local chain: gas costs nothing, and each transaction has its block at once. */
const LIKE_OURS = ["--base-fee", "0", "--gas-price", "0", "--timestamp", "1800000000"];

export function openAnvil(): Promise<TestChain> {
  return openAnvilWith(CHAIN_ID, LIKE_OURS);
}

export async function openAnvilWith(chainId: number, flags: readonly string[]): Promise<TestChain> {
  const place = ["--port", "0", "--chain-id", String(chainId), "--hardfork", "osaka"];
  const child = spawn(anvil(), [...place, ...flags], { stdio: ["ignore", "pipe", "ignore"] });
  const url = `http://${await listening(child)}`;
  return {
    name: "anvil",
    url,
    async wait(more) {
      await ask(url, "evm_increaseTime", [more]);
      await ask(url, "evm_mine", []);
    },
    async close() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

async function listening(child: ChildProcess): Promise<string> {
  const output = defined(child.stdout ?? undefined, "anvil's output");
  for await (const line of createInterface({ input: output })) {
    const found = /Listening on (\S+)/.exec(line);
    if (found?.[1]) {
      output.resume();
      return found[1];
    }
  }
  return fail("anvil ended before it listened");
}

/** @returns its result @throws if it is an error */
export async function ask(
  url: string,
  method: string,
  params: readonly unknown[],
): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const headers = { "content-type": "application/json" };
  const answer = await (await fetch(url, { method: "POST", headers, body })).json();
  const { result, error } = answer as { result: unknown; error?: unknown };
  if (error !== undefined) fail(`${method}: ${JSON.stringify(error)}`);
  return result;
}

/** Sends it, and waits for its block: anvil answers before it has made one. @returns the receipt */
export async function deliver(url: string, raw: Hex): Promise<{ readonly status: string }> {
  await ask(url, "eth_sendRawTransaction", [raw]);
  for (;;) {
    const receipt = await ask(url, "eth_getTransactionReceipt", [keccak256(raw)]);
    if (receipt) return receipt as { readonly status: string };
  }
}
