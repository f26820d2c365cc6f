// A local chain served by this process: opened, the contracts on it, listening.
// Not the chain itself: packages/chain/src/local.
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { LocalChain } from "@manyhands/chain/local/chain";
import { deployContracts, type LocalContracts } from "@manyhands/chain/local/deploy";
import { serveChain } from "@manyhands/chain/local/server";
import { LOCAL_CHAIN } from "../pay/local-chain.ts";
import { LOCAL_PORT, LOCAL_RPC } from "../pay/rpc-url.ts";

export type LocalServer = {
  readonly url: string;
  readonly contracts: LocalContracts;
  close(): Promise<void>;
};

export type LocalServerOptions = {
  readonly folder: string;
  /** 0 for any. */
  readonly port: number;
  readonly chainId: number;
};

/** @throws InputError if another process has the file */
export async function openLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  const { folder, port, chainId } = options;
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${chainId}.sqlite`);
  const chain = await LocalChain.open({ path, chainId, now: () => Date.now() / 1_000 });
  try {
    const contracts = await deployContracts(chain);
    const server = await serveChain(chain, { port });
    const close = async (): Promise<void> => {
      await server.close();
      await chain.close();
    };
    return { url: server.url, contracts, close };
  } catch (caught) {
    await chain.close();
    throw caught;
  }
}

/** For `--chain local`: the one that answers already, or one of our own. @returns how to end it */
export async function ensureLocalChain(): Promise<() => Promise<void>> {
  const isThere = await fetch(LOCAL_RPC, { method: "OPTIONS" }).then(
    () => true,
    () => false, // nobody listens
  );
  if (isThere) return async () => undefined;
  const folder = join(homedir(), ".manyhands", "chain");
  const { chainId } = LOCAL_CHAIN;
  const { close } = await openLocalServer({ folder, port: LOCAL_PORT, chainId });
  return close;
}
