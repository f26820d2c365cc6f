// From flags to a run's contracts and a key that can sign for its owner or an attestor.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError, messageOf } from "@manyhands/base/errors";
import { ChainClient } from "@manyhands/chain/settle/client";
import { Contracts } from "@manyhands/chain/settle/contracts";
import type { Pay } from "@manyhands/protocol/pay";
import { isHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import type { ChainFlags } from "../pay/chain-flags.ts";
import { LOCAL_CHAIN } from "../pay/local-chain.ts";

const CONFIRMATIONS = 12;
const POLL_MS = { local: 500, other: 4_000 };
const GWEI = 1_000_000_000n;

/** @throws ChainError if it is another chain, or has no contracts there */
export async function openContracts(pay: Pay, flags: ChainFlags): Promise<Contracts> {
  const client = await ChainClient.open({
    url: flags.rpc,
    chainId: pay.chain.chainId,
    ...(flags.feeMax === undefined ? {} : { feeMax: BigInt(flags.feeMax) * GWEI }),
    confirmations: flags.confirmations ?? (isLocal(pay) ? 0 : CONFIRMATIONS),
    pollMs: isLocal(pay) ? POLL_MS.local : POLL_MS.other,
  });
  return Contracts.open(client, pay.chain);
}

/** A local chain's blocks are never taken back, and come when they are needed. */
export function isLocal({ chain }: Pay): boolean {
  return chain.chainId === LOCAL_CHAIN.chainId;
}

/** @throws InputError for a file that holds no key */
export async function readKey(path: string | undefined): Promise<PrivateKeyAccount> {
  const hint = "A key file holds one private key, 0x and 64 hex digits; nobody else may read it.";
  if (path === undefined) throw new InputError("this needs --key, a file with a key", { hint });
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new InputError(`${path} cannot be read: ${messageOf(cause)}`, { cause, hint });
  });
  const key = text.trim();
  if (isHex(key) && key.length === 66) return privateKeyToAccount(key);
  throw new InputError(`${path} holds no private key`, { hint });
}

/** Beside the log: what was settled of the run, and is being settled. */
export function journalPath(folder: string): string {
  return join(folder, "settle.sqlite");
}
