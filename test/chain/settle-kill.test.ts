// SIGKILL before signing, after signing, after sending, and when mined but not yet stored: of the
// run's making, its funding, and of five settlements' postings and claims. Nobody is paid twice,
// and nothing is lost.
import { equal, ok } from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LocalChain } from "@manyhands/chain/local/chain";
import { deployContracts } from "@manyhands/chain/local/deploy";
import { serveChain } from "@manyhands/chain/local/server";
import { ChainClient } from "@manyhands/chain/settle/client";
import { Contracts } from "@manyhands/chain/settle/contracts";
import { Journal } from "@manyhands/chain/settle/journal";
import { Sender } from "@manyhands/chain/settle/sender";
import { getAddress } from "viem";
import { Process } from "../process.ts";
import { balanceOf } from "./audit.ts";
import { CHAIN_ID } from "./backends.ts";
import { FUNDING, hexOf, keyed, type Orders, owed, WINDOW } from "./settle-play.ts";

const LIMIT = { timeout: 240_000 };
const SETTLEMENTS = 5;
const STEPS = ["before-signing", "signed", "sent", "mined"];

/** Starts the settler until it comes through. @returns what it said, and how often it was killed */
async function lives(orders: Orders): Promise<{ readonly said: string; readonly deaths: number }> {
  const script = join(import.meta.dirname, "settle-child.ts");
  for (let deaths = 0; ; deaths++) {
    const environment = { ...process.env, NODE_COMPILE_CACHE: join(orders.folder, "cache") };
    const child = new Process([JSON.stringify(orders)], { script, environment });
    const { code, signal } = await child.exit;
    if (signal === "SIGKILL") continue;
    equal(code, 0, child.output);
    return { said: child.stdout.trim(), deaths };
  }
}

test("killed at each step of each transaction, everybody is paid once", LIMIT, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-kill-"));
  let seconds = 1_800_000_000;
  const path = join(folder, "chain.sqlite");
  const chain = await LocalChain.open({ path, chainId: CHAIN_ID, now: () => seconds });
  const { registry, dollar: token } = await deployContracts(chain);
  const server = await serveChain(chain);
  t.after(async () => {
    await server.close();
    await chain.close();
    rmSync(folder, { recursive: true });
  });
  const { url } = server;
  const client = await ChainClient.open({ url, chainId: CHAIN_ID, pollMs: 5 });
  const contracts = await Contracts.open(client, {
    registry: hexOf(registry),
    token: hexOf(token),
  });
  const journal = Journal.open(join(folder, "mint.sqlite"));
  const owner = new Sender({ client, journal, account: keyed("owner") });
  await owner.once("mint", contracts.tokenCall("mint", owner.account.address, FUNDING));
  journal.close();

  let deaths = 0;
  for (let round = 0; round < SETTLEMENTS; round++) {
    const orders = { folder, url, chainId: CHAIN_ID, registry, token, round };
    const posted = await lives(orders);
    equal(posted.said, "window");
    seconds += WINDOW;
    const paid = await lives(orders);
    equal(paid.said, "paid");
    deaths += posted.deaths + paid.deaths;
    for (const [account, units] of owed(round)) {
      equal(await balanceOf(url, token, getAddress(`0x${account}`)), units, `round ${round}`);
    }
  }
  const total = owed(SETTLEMENTS - 1).reduce((sum, [, units]) => sum + units, 0n);
  equal(await balanceOf(url, token, registry), FUNDING - total, "what is left is left");
  equal(await balanceOf(url, token, owner.account.address), 0n, "funded once");
  equal(await contracts.nextSequence(1), SETTLEMENTS + 1);
  const marks = readdirSync(folder).filter((name) => name.startsWith("died-"));
  const transactions = 3 + 2 * SETTLEMENTS; // create, approve, fund; post and claim
  for (const step of STEPS) {
    equal(marks.filter((name) => name.endsWith(step)).length, transactions, step);
  }
  ok(deaths === transactions * STEPS.length, `${deaths} deaths`);
  t.diagnostic(`${deaths} SIGKILLs in ${transactions} transactions`);
});
