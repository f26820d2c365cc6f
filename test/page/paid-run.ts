// A run that pays, for the tests of this folder: a local chain, a coordinator with its settler, an
// attestor. All of it the product's own, in this process. Settling goes only as far as it is told.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { LocalChain } from "@manyhands/chain/local/chain";
import { deployContracts, type LocalContracts } from "@manyhands/chain/local/deploy";
import { serveChain } from "@manyhands/chain/local/server";
import { type Coordinator, startCoordinator } from "@manyhands/coordinator/serve";
import { attestRun } from "manyhands/onchain/attest";
import { fundRun } from "manyhands/onchain/pay";
import { settleBeside } from "manyhands/onchain/settle-beside";
import { keccak256, toHex } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import { tinyRun } from "../browser/bare-site.ts";
import { balanceOf } from "../chain/audit.ts";
import { DIST } from "./real-page.ts";

const CHAIN_ID = 7_433_000;
export const WINDOW_SECONDS = 3_600;

export type PaidRun = {
  readonly coordinator: Coordinator;
  readonly contracts: LocalContracts;
  /** Of the chain. */
  readonly rpc: string;
  readonly folder: string;
  /** Made by the settler's own key, with so many dollars. */
  fund(dollars: string): Promise<void>;
  /** What the coordinator says to its owner's wish. */
  settle(): Promise<string>;
  attest(): Promise<void>;
  /** The chain's clock: so much time goes by at once. */
  later(seconds: number): void;
  /** Test dollars in smallest units. */
  dollarsOf(account: `0x${string}`): Promise<bigint>;
};

const keyOf = (name: string) => keccak256(toHex(name));

function terms(text: string): string {
  return `${text}
pay:
  chain: local
  unitsPerMillionTokens: 7000000
  shares: { training: 0.8, data: 0.2 }
  dataAccount: "${privateKeyToAddress(keyOf("data"))}"
  settleEvery: 1000
  challengeWindow: ${WINDOW_SECONDS}s
  attestors:
    - "${privateKeyToAddress(keyOf("attestor"))}"
`;
}

export async function hostPaid(t: TestContext): Promise<PaidRun> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-paid-"));
  let ahead = 0;
  const chain = await LocalChain.open({
    path: join(folder, "chain.sqlite"),
    chainId: CHAIN_ID,
    now: () => Date.now() / 1_000 + ahead,
  });
  const contracts = await deployContracts(chain);
  const server = await serveChain(chain);
  const keys: Record<string, string> = {};
  for (const name of ["settler", "attestor"]) {
    keys[name] = join(folder, `${name}.key`);
    await writeFile(keys[name], keyOf(name));
  }
  const flags = (name: string) => ({ rpc: server.url, key: keys[name] ?? "" });
  const create = await tinyRun(folder, terms);
  const runFolder = join(folder, "out");
  const settling = await settleBeside(create.run, runFolder, flags("settler"));
  const settlements = settling.desk;
  const coordinator = await startCoordinator({ runFolder, create, page: DIST, settlements });
  t.after(async () => {
    await settling.close();
    await coordinator.close();
    await server.close();
    await chain.close();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    ...{ coordinator, contracts, folder: runFolder, rpc: server.url },
    fund: async (dollars) => {
      await fundRun(runFolder, dollars, { ...flags("settler"), mint: true });
    },
    settle: async () => {
      const headers = { authorization: `Bearer ${coordinator.ownerToken}` };
      const url = `${coordinator.runUrl}/pay/settle`;
      const answer = await fetch(url, { method: "POST", headers });
      assert.equal(answer.status, 200);
      return ((await answer.json()) as { standing: string }).standing;
    },
    attest: async () => {
      await attestRun(coordinator.joinUrl, flags("attestor"));
    },
    later: (seconds) => {
      ahead += seconds;
    },
    dollarsOf: (account) => balanceOf(server.url, contracts.dollar, account),
  };
}
