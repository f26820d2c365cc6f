// A transaction through the connected wallet, from asking to its place in a block.
// The page asks no RPC: the wallet's own provider tells what became of it.
import { err, ok } from "@manyhands/base/result";
import type { Call } from "./calls.ts";
import type { WalletAnswer } from "./provider.ts";
import type { Wallet } from "./wallet.ts";

const ASKS_AGAIN_MS = 1_000;

/** @returns its hash, once it is in a block and has done what it was for */
export async function transact(
  wallet: Wallet,
  { to, data }: Call,
  sent: (hash: string) => void = () => undefined,
): Promise<WalletAnswer<string>> {
  const account = wallet.view().connected?.account;
  const params = { from: `0x${account}`, to, data };
  // Whatever would fail is said before the person is asked to sign it.
  const tried = await wallet.ask("eth_estimateGas", [params]);
  if (!tried.ok) return tried;
  const answer = await wallet.ask("eth_sendTransaction", [params]);
  if (!answer.ok) return answer;
  const hash = String(answer.value);
  if (!/^0x[0-9a-f]{64}$/i.test(hash)) {
    return err({ kind: "failed", message: "the wallet answered with no transaction" });
  }
  sent(hash);
  return landed(wallet, hash);
}

async function landed(wallet: Wallet, hash: string): Promise<WalletAnswer<string>> {
  for (;;) {
    const answer = await wallet.ask("eth_getTransactionReceipt", [hash]);
    if (!answer.ok) return answer;
    const status = statusIn(answer.value);
    if (status === "0x1") return ok(hash);
    if (status !== null) {
      return err({
        kind: "failed",
        message: `the transaction ${hash} was taken back by its contract`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, ASKS_AGAIN_MS));
  }
}

/** Null while it is in no block. */
function statusIn(receipt: unknown): unknown {
  return typeof receipt === "object" && receipt !== null ? Reflect.get(receipt, "status") : null;
}

/** What a contract answers. */
export async function read(wallet: Wallet, { to, data }: Call): Promise<bigint | null> {
  const answer = await wallet.ask("eth_call", [{ to, data }, "latest"]);
  const text = answer.ok ? String(answer.value) : "";
  return /^0x[0-9a-f]{64}$/i.test(text) ? BigInt(text) : null;
}
