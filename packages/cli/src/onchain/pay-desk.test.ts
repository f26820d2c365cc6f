// What a coordinator takes from its owner, on a real local chain: a run that a wallet made is taken
// only if it is this one.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { artefact } from "@manyhands/chain/artefacts";
import { LocalChain } from "@manyhands/chain/local/chain";
import { deployContracts } from "@manyhands/chain/local/deploy";
import { serveChain } from "@manyhands/chain/local/server";
import { ChainClient } from "@manyhands/chain/settle/client";
import { Contracts } from "@manyhands/chain/settle/contracts";
import { Journal } from "@manyhands/chain/settle/journal";
import type { SettlementDesk } from "@manyhands/coordinator/settlement-desk";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import { encodeFunctionData, type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { LOCAL_CHAIN } from "../pay/local-chain.ts";
import { payDesk } from "./pay-desk.ts";

const RUN_ID = "ab".repeat(32);
const PAY = { ...TEST_PAY, chain: LOCAL_CHAIN };
const wallet = privateKeyToAccount(keccak256(toHex("somebody's wallet")));

type Config = {
  readonly token: Hex;
  readonly challengeWindow: bigint;
  readonly attestors: readonly Hex[];
  readonly threshold: number;
  readonly configHash: Hex;
  readonly datasetRoot: Hex;
};

const CONFIG: Config = {
  token: `0x${LOCAL_CHAIN.token}`,
  challengeWindow: BigInt(PAY.challengeWindowSeconds),
  attestors: PAY.attestors.map((hex) => `0x${hex}` as const),
  threshold: PAY.threshold,
  configHash: `0x${RUN_ID}`,
  datasetRoot: `0x${"00".repeat(32)}`,
};

type Stage = {
  readonly desk: SettlementDesk;
  /** A run in the registry, by a wallet. @returns the transaction */
  readonly make: (config: Config) => Promise<Hex>;
};

async function open(t: TestContext): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-desk-"));
  const { chainId } = LOCAL_CHAIN;
  const path = join(folder, "chain.sqlite");
  const chain = await LocalChain.open({ path, chainId, now: () => 1_800_000_000 });
  await deployContracts(chain);
  const server = await serveChain(chain);
  const client = await ChainClient.open({ url: server.url, chainId });
  const contracts = await Contracts.open(client, LOCAL_CHAIN);
  const journal = Journal.beside(join(folder, "settle.sqlite"));
  t.after(async () => {
    journal.close();
    await server.close();
    await chain.close();
    rmSync(folder, { recursive: true });
  });
  const settle = async () => ({ kind: "nothing-new" }) as const;
  const parts = { folder, pay: PAY, runId: RUN_ID, contracts, journal, rpc: server.url, settle };
  let nonce = 0;
  const make = async (config: Config): Promise<Hex> => {
    const { abi } = artefact("RunRegistry");
    const raw = await wallet.signTransaction({
      ...{ type: "eip1559", chainId, nonce: nonce++, gas: 2_000_000n },
      ...{ maxFeePerGas: 0n, maxPriorityFeePerGas: 0n, to: contracts.registry },
      data: encodeFunctionData({ abi, functionName: "createRun", args: [config] }),
    });
    return chain.send(raw);
  };
  return { desk: payDesk(parts), make };
}

test("a run that a wallet made is taken if it is this one, with its terms, and once", async (t) => {
  const { desk, make } = await open(t);
  const refusals: readonly (readonly [Partial<Config>, RegExp])[] = [
    [{ configHash: `0x${"cd".repeat(32)}` }, /another run/],
    [{ challengeWindow: 7n }, /other terms/],
    [{ threshold: 1 }, /other terms/],
    [{ attestors: CONFIG.attestors.slice(1), threshold: 1 }, /other terms/],
    [{ token: `0x${LOCAL_CHAIN.registry}` }, /other terms/],
    [{ threshold: 9 }, /the transaction failed/],
  ];
  for (const [change, expected] of refusals) {
    const refused = await desk.adopt(await make({ ...CONFIG, ...change }));
    assert.match(refused.ok ? "taken" : refused.error, expected);
  }
  const unknown = await desk.adopt(`0x${"00".repeat(32)}`);
  assert.match(unknown.ok ? "taken" : unknown.error, /in a block yet: ask again/);
  const before = await desk.standing();
  assert.equal(before.ok && before.value.onChain, null);

  const made = await make(CONFIG);
  assert.deepEqual(await desk.adopt(made), { ok: true, value: 6 });
  assert.deepEqual(await desk.adopt(made), { ok: true, value: 6 }, "said twice is no harm");
  const second = await desk.adopt(await make(CONFIG));
  assert.match(second.ok ? "taken" : second.error, /number 6 on its chain already/);
  const settled = await desk.settle();
  assert.match(settled.ok ? settled.value : "", /^Nothing to settle/);
});
