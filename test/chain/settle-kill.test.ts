// SIGKILL before signing, after signing, after sending, and when mined but not yet stored: of the
// run's making, its funding, and of five settlements' postings and claims; on both chains. Nobody is
// paid twice, and nothing is lost.
import { deepEqual, equal, ok } from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { deploymentsOn } from "@manyhands/chain/local/deploy";
import { ChainClient } from "@manyhands/chain/settle/client";
import { Contracts } from "@manyhands/chain/settle/contracts";
import { Journal } from "@manyhands/chain/settle/journal";
import { Sender } from "@manyhands/chain/settle/sender";
import { getAddress } from "viem";
import { Process } from "../process.ts";
import { balanceOf } from "./audit.ts";
import { ask, CHAIN_ID, deliver, openAnvil, openLocal } from "./backends.ts";
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

const noted = new Map<string, readonly Said[]>();

for (const open of [openLocal, openAnvil]) {
  test(`${open.name}: killed at each step of each transaction, all are paid once`, LIMIT, (t) => {
    return killedOn(t, open);
  });
}

test("the local chain and anvil say the same of each transaction: outcome, gas, logs", () => {
  deepEqual(noted.get("local"), noted.get("anvil"));
});

async function killedOn(t: TestContext, open: typeof openLocal): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-kill-"));
  const chain = await open();
  t.after(async () => {
    await chain.close();
    rmSync(folder, { recursive: true });
  });
  const { url } = chain;
  const { registry, token } = await deployed(url, keyed("owner").address);
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
    await chain.wait(WINDOW);
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
  noted.set(chain.name, await saidOf(url, join(folder, "settle.sqlite")));
  equal(noted.get(chain.name)?.length, transactions);
  t.diagnostic(`${deaths} SIGKILLs in ${transactions} transactions`);
}

/** The contracts, and coins for the one who sends: anvil's tips are not free. */
async function deployed(url: string, sender: string) {
  if (!(await canSendFree(url))) {
    await ask(url, "anvil_setBalance", [sender, "0xde0b6b3a7640000"]);
  }
  const [registry, , token] = await deploymentsOn(CHAIN_ID);
  for (const { raw } of await deploymentsOn(CHAIN_ID)) {
    await deliver(url, raw);
  }
  return { registry: registry?.address ?? "0x", token: token?.address ?? "0x" } as const;
}

async function canSendFree(url: string): Promise<boolean> {
  return (await ask(url, "eth_maxPriorityFeePerGas", [])) === "0x0";
}

type Said = readonly [status: string, gas: string, logs: readonly string[]];

/** Of each transaction in the journal. Times are left out: the chains' clocks differ by seconds. */
async function saidOf(url: string, path: string): Promise<readonly Said[]> {
  const journal = Journal.beside(path);
  const mined = journal.transactions().filter(({ state }) => state === "mined");
  journal.close();
  const said: Said[] = [];
  for (const { hash } of mined) {
    const receipt = (await ask(url, "eth_getTransactionReceipt", [hash])) as {
      readonly status: string;
      readonly gasUsed: string;
      readonly logs: readonly { readonly topics: readonly string[]; readonly data: string }[];
    };
    const logs = receipt.logs.map(({ topics, data }) => topics.join() + data.replace(TIME, "time"));
    said.push([receipt.status, receipt.gasUsed, logs]);
  }
  return said;
}

/** A word with seconds of these chains' years, 1,800,000,000 and a few days. */
const TIME = /0{56}6b[45][0-9a-f]{5}/g;
