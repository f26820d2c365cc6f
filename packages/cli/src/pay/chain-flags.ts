// Flags of the commands that talk to a run's chain, and the way to load what they need.
import { InputError } from "@manyhands/base/errors";
import type { Command } from "commander";
import { wholeNumber } from "../commands/whole-number.ts";
import { LOCAL_RPC, rpcUrl } from "./rpc-url.ts";

export type ChainFlags = {
  readonly rpc: string;
  readonly key?: string;
  /** Gwei. */
  readonly feeMax?: number;
  readonly confirmations?: number;
};

export function addChainFlags(command: Command): Command {
  const local = "the chain's RPC; `local` is that of `manyhands chain`";
  return addSending(command.option("--rpc <url>", local, rpcUrl, LOCAL_RPC));
}

/** Of those that settle beside a run, if they are asked to. */
export type BesideFlags = Omit<ChainFlags, "rpc"> & { readonly chain?: string };

export function addBesideFlags(command: Command): Command {
  const wish = "settle and pay on the run's chain: `local`, or an RPC's address";
  return addSending(command.option("--chain <rpc>", wish, rpcUrl));
}

/** Null: not from here. */
export function chainOf(flags: BesideFlags): ChainFlags | null {
  const { chain, key, feeMax, confirmations } = flags;
  if (chain === undefined) return null;
  return {
    rpc: chain,
    ...(key === undefined ? {} : { key }),
    ...(feeMax === undefined ? {} : { feeMax }),
    ...(confirmations === undefined ? {} : { confirmations }),
  };
}

function addSending(command: Command): Command {
  return command
    .option("--key <file>", "a file with the private key that signs for it on the chain")
    .option("--fee-max <gwei>", "for a unit of gas, at most (200)", wholeNumber(0, 1_000_000))
    .option(
      "--confirmations <n>",
      "blocks on top of a transaction until it counts (12, on the local chain 0)",
      wholeNumber(0, 1_000),
    );
}

/** What talks to chains is loaded only here: the tarball for workers leaves it out. */
export async function onChain<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const hint = "run it from a checkout, after npm install";
    throw new InputError("this copy of Manyhands comes without a chain", { cause, hint });
  }
}
