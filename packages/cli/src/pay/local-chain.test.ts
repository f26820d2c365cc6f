import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LocalChain } from "@manyhands/chain/local/chain";
import { deployContracts } from "@manyhands/chain/local/deploy";
import { accountText } from "./account.ts";
import { LOCAL_CHAIN } from "./local-chain.ts";

test("a local chain has its contracts where run files look for them", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-chain-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "chain.sqlite");
  const chain = await LocalChain.open({
    path,
    chainId: LOCAL_CHAIN.chainId,
    now: () => 1_800_000_000,
  });
  const { registry, dollar } = await deployContracts(chain);
  await chain.close();
  assert.equal(registry, accountText(LOCAL_CHAIN.registry));
  assert.equal(dollar, accountText(LOCAL_CHAIN.token));
});
