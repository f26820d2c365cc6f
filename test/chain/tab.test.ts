// Four Node workers and one browser tab train a run that pays, all as people would start them. The
// tab's account is a wallet's, which signs for it in the page. Two attestors; everybody is paid to
// the last unit, by an audit that reads only log and chain. `npm run build` comes first.
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { keccak256, toHex } from "viem";
import { startChromium } from "../browser/bare-site.ts";
import { newPerson, openTab } from "../page/real-page.ts";
import { TestWallet } from "../page/test-wallet.ts";
import { owedByLog } from "./audit.ts";
import { attest, attestAll, audited } from "./pay-checks.ts";
import { device, done, owner, PAY_CHAINS, type Stage, setUp, start } from "./pay-stage.ts";

const LIMIT = { timeout: 600_000 };
const TOKENS = 196_608;

/** Each round waits for all five: a tab that begins late is in the first one too. */
async function waitForAll({ folder }: Stage): Promise<void> {
  const path = join(folder, "run.yaml");
  const text = await readFile(path, "utf8");
  const longer = text.replace(/( +)workersMin: 5/, "$1workersMin: 5\n$1quorum: 1\n$1longest: 2m");
  ok(longer.includes("quorum"));
  await writeFile(path, longer);
}

/** A person with a wallet opens the link, lets the wallet sign for the device, and trains. */
async function joinInTab(
  t: TestContext,
  joinUrl: string,
): Promise<{ readonly page: Page; readonly wallet: TestWallet }> {
  const browser = await startChromium();
  t.after(() => browser.close());
  const person = await newPerson(t, browser);
  const wallet = new TestWallet(keccak256(toHex("eve")));
  await wallet.announceTo(person);
  const { page } = await openTab(t, person, joinUrl);
  const press = (name: string): Promise<void> => page.getByRole("button", { name }).click();
  await page.getByRole("link", { name: "Choose who is paid" }).click();
  await press("Connect Test wallet");
  await press("Switch the wallet to it");
  await press("Let this device work for it");
  await page.getByText("Its wallet has signed that this device works for it.").waitFor();
  await page.getByRole("link", { name: "Contribute" }).click();
  await press("Train with this device");
  return { page, wallet };
}

/** The person reads where the money is, and that it has come. */
async function isPaidInPage(page: Page): Promise<void> {
  await page.getByRole("link", { name: "Your pay" }).click();
  const paid = page.locator(".pay-lines > div", { has: page.getByText("Paid", { exact: true }) });
  await paid.getByText("The contract has sent it to this account.").waitFor();
}

test(
  "four Node workers and a tab: funded, trained, attested, paid to the last unit",
  LIMIT,
  async (t) => {
    const open = PAY_CHAINS.local;
    const stage = await setUp(t, { open, tokens: TOKENS, workersMin: 5, settleEvery: 2 });
    await waitForAll(stage);
    const { folder, out, url, keys } = stage;
    const chain = ["--chain", url, "--key", keys.owner];
    const up = ["up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out, ...chain];
    const coordinator = start(t, up);
    const [, joinUrl = ""] = await coordinator.says(/npx \S+ join '(\S+)'/);
    await done(t, ["pay", "fund", out, "100", "--mint", "--rpc", url, "--key", keys.owner]);

    const { page, wallet } = await joinInTab(t, joinUrl);
    const others = ["ada", "ben", "cyd", "dan"].map((name) => device(stage, joinUrl, name, true));
    await page.getByText("First update after").waitFor();
    // The first settlement is final before the last round: the others come on top of it.
    await coordinator.says(/Settlement 1 waits/);
    await owner(out, joinUrl, "pause");
    await attest(stage, joinUrl, 1);
    await coordinator.says(/Settlement 1 is final/);
    await isPaidInPage(page);
    await owner(out, joinUrl, "resume");
    const settlements = await attestAll(stage, coordinator, { joinUrl, signed: new Set([1]) });
    equal((await coordinator.exit).code, 0, coordinator.output);
    for (const one of others) equal((await one.exit).code, 0, one.output);
    ok(settlements >= 2, `${settlements} settlements`);

    const { paidOut, accounts } = await audited(stage);
    equal(accounts, 7, "five devices, data and storage");
    const owed = owedByLog(join(out, "log.sqlite"));
    const tab = owed.get(wallet.account.address.slice(2).toLowerCase()) ?? 0n;
    ok(tab > 0n, "the tab has earned");
    deepEqual(
      wallet.asked.filter((method) => /sign|send/i.test(method)),
      ["eth_signTypedData_v4"],
      "paid without a transaction of its own: no gas",
    );
    t.diagnostic(`${settlements} settlements, ${paidOut} units, of them ${tab} to the tab`);
  },
);
