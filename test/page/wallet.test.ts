// A person and their wallet, for real: the built page, an EIP-6963 wallet with a key of its own, a
// coordinator that settles on a local chain. Nothing of the product is mocked.
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import type { Coordinator } from "@manyhands/coordinator/serve";
import type { Browser, Page } from "playwright-core";
import { keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { startChromium } from "../browser/bare-site.ts";
import { hostPaid, type PaidRun, WINDOW_SECONDS } from "./paid-run.ts";
import { newPerson, nextEvent, openTab, train } from "./real-page.ts";
import { TestWallet } from "./test-wallet.ts";

const LIMIT = { timeout: 180_000 };

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

type Opened = { readonly page: Page; readonly wallet: TestWallet };

/** A person with a wallet, on the run's link. */
async function openWithWallet(t: TestContext, run: PaidRun, key: string): Promise<Opened> {
  const person = await newPerson(t, browser);
  const wallet = new TestWallet(keccak256(toHex(key)));
  await wallet.announceTo(person);
  const { page } = await openTab(t, person, run.coordinator.joinUrl);
  return { page, wallet };
}

const press = (page: Page, name: string): Promise<void> =>
  page.getByRole("button", { name, exact: true }).click();

/** Says no first, then yes. */
async function refuseThenPress({ page, wallet }: Opened, name: string): Promise<void> {
  wallet.rejectsNext = true;
  await press(page, name);
  await page.getByText("You said no in the wallet. Nothing has changed.").waitFor();
  await press(page, name);
}

/** What the run's log says of its only device. */
function payoutOf(coordinator: Coordinator) {
  const [worker] = coordinator.state().workers.values();
  return worker?.join.payout ?? null;
}

/** One line of somebody's pay, as it is read. */
function line(page: Page, name: string) {
  return page.locator(".pay-lines > div", { has: page.getByText(name, { exact: true }) });
}

async function paused({ coordinator }: PaidRun): Promise<void> {
  if (coordinator.state().phase === "paused") return;
  const event = nextEvent(coordinator, "RunPaused");
  coordinator.pause();
  await event;
}

test("connect, wrong network, reject, delegate, claim, disconnect", LIMIT, async (t) => {
  const run = await hostPaid(t);
  const { coordinator } = run;
  const opened = await openWithWallet(t, run, "ada");
  const { page, wallet } = opened;
  const { address } = wallet.account;
  await page.getByText("A million of your tokens earn").waitFor();
  await page.getByText("5.6\u202ftUSD").waitFor();
  await page.getByText(/one operator's tamper-evident ledger/).waitFor();
  await page.getByText("Nobody has paid in yet").waitFor();
  await page.getByRole("link", { name: "Choose who is paid" }).click();

  await refuseThenPress(opened, "Connect Test wallet");
  await page.getByText(address, { exact: true }).first().waitFor();
  await page.getByText("Your wallet is on another network").waitFor();
  await page.getByText(new RegExp(`network address ${run.rpc}, chain number 7433000`)).waitFor();
  assert.equal(await page.getByRole("button", { name: "Let this device work for it" }).count(), 0);
  await refuseThenPress(opened, "Switch the wallet to it");
  await page.getByText("Your wallet is on another network").waitFor({ state: "detached" });
  assert.ok(wallet.asked.includes("wallet_addEthereumChain"), "it had to be told of the chain");

  const delegate = "Let this device work for it";
  wallet.signer = privateKeyToAccount(keccak256(toHex("somebody else")));
  await press(page, delegate);
  await page.getByText(/signed with another account than the one it showed/).waitFor();
  wallet.signer = wallet.account;
  await refuseThenPress(opened, delegate);
  await page.getByText("Its wallet has signed that this device works for it.").waitFor();
  assert.equal(wallet.asked.filter((method) => method === "eth_signTypedData_v4").length, 3);

  await press(page, "Change it");
  await wallet.changeChain(page, 1);
  await page.getByText("Your wallet is on another network").waitFor();
  await wallet.changeChain(page, coordinator.state().run.pay?.chain.chainId ?? 0);
  await page.getByText("Your wallet is on another network").waitFor({ state: "detached" });
  await press(page, "Keep it as it is");

  await page.getByRole("link", { name: "Contribute" }).click();
  await page.getByText("This device fits.").waitFor();
  await train(page);
  const payout = payoutOf(coordinator);
  assert.equal(`0x${payout?.account}`, address.toLowerCase());
  assert.equal(payout?.delegation?.length, 130, "the coordinator has checked it");

  await page.getByRole("link", { name: "Your pay" }).click();
  await paused(run);
  await claimed(run, opened);

  await page.reload();
  await page.getByText("Its wallet has signed that this device works for it.").waitFor();
  await press(page, "Change it");
  await page.getByText("Connected with Test wallet").waitFor();
  await press(page, "Disconnect");
  await page.getByRole("button", { name: "Connect Test wallet" }).waitFor();
  assert.equal(wallet.asked.at(-1), "wallet_revokePermissions");
  assert.equal(wallet.isConnected, false);
  await page.reload();
  await press(page, "Change it");
  await page.getByRole("button", { name: "Connect Test wallet" }).waitFor();
});

/** From earned to paid, each part with its reason, and the last step by the person's own wallet. */
async function claimed(run: PaidRun, opened: Opened): Promise<void> {
  const { page, wallet } = opened;
  await line(page, "Not settled yet").getByText("The run is not on its chain yet.").waitFor();
  await run.fund("100");
  await line(page, "Not settled yet").getByText("A settlement comes every 1").waitFor();
  assert.match(await run.settle(), /waits for 1 more attestor/);
  await line(page, "Not settled yet")
    .getByText("Settlement 1 waits for 1 attestor to sign.")
    .waitFor();
  await run.attest();
  assert.match(await run.settle(), /is posted, and final at/);
  await line(page, "Pending")
    .getByText(/In settlement 1, posted to the chain/)
    .waitFor();
  run.later(WINDOW_SECONDS + 1);
  await line(page, "Final").getByText("Nobody can take it back.").waitFor();
  const due = (await line(page, "Final").locator(".amount").textContent()) ?? "";
  assert.equal(await line(page, "Earned").locator(".amount").textContent(), due);
  await refuseThenPress(opened, "Claim it now");
  await line(page, "Paid").getByText("The contract has sent it to this account.").waitFor();
  assert.equal(await line(page, "Paid").locator(".amount").textContent(), due);
  assert.equal(await page.getByRole("button", { name: "Claim it now" }).count(), 0);
  const dollars = await run.dollarsOf(wallet.account.address);
  assert.equal(Number(dollars) / 1e6, Number.parseFloat(due), due);
}

test(
  "without a wallet: points first, an address later, and another one after it",
  LIMIT,
  async (t) => {
    const run = await hostPaid(t);
    const { coordinator } = run;
    const { page } = await openTab(t, await newPerson(t, browser), coordinator.joinUrl);
    await page.getByText("This device fits.").waitFor();
    await page.getByText(/Without an account you earn points/).waitFor();
    await train(page);
    assert.equal(payoutOf(coordinator), null);
    await page.getByRole("link", { name: "Choose who is paid" }).click();
    await page.getByText("No wallet has answered in this browser.").waitFor();
    await page.getByText(/tokens of this device wait for an account/).waitFor();

    const [first, second] = ["first", "second"].map(
      (name) => privateKeyToAccount(keccak256(toHex(name))).address,
    ) as [`0x${string}`, `0x${string}`];
    const field = page.getByLabel("Address");
    for (const [text, problem] of [
      ["vitalik.eth", "An address is 0x and 40 digits"],
      [
        first.replace(/[a-f](?=[^a-f]*$)/, (digit) => digit.toUpperCase()),
        "A digit of it is wrong",
      ],
      [`0x${"0".repeat(40)}`, "it belongs to nobody"],
    ] as const) {
      await field.fill(text);
      await press(page, "Pay this account");
      await page.getByText(problem).waitFor();
    }
    const joined = nextEvent(coordinator, "WorkerJoined");
    await field.fill(first);
    await press(page, "Pay this account");
    await page.getByText("You have named it; its wallet has signed nothing.").waitFor();
    await joined;
    assert.deepEqual(payoutOf(coordinator), {
      account: first.slice(2).toLowerCase(),
      delegation: null,
    });
    await page
      .getByText(/tokens of this device wait for an account/)
      .waitFor({ state: "detached" });
    await line(page, "Earned")
      .getByText(/by the log as it is now/)
      .waitFor();

    const again = nextEvent(coordinator, "WorkerJoined");
    await press(page, "Change it");
    await page.getByText("What was earned so far stays with the account that earned it.").waitFor();
    await page.getByLabel("Address").fill(second);
    await press(page, "Pay this account");
    await again;
    assert.equal(payoutOf(coordinator)?.account, second.slice(2).toLowerCase());
    await paused(run);
    await run.fund("100");
    await run.settle();
    await run.attest();
    await run.settle();
    run.later(WINDOW_SECONDS + 1);
    await line(page, "Final").getByText("Nobody can take it back.").waitFor();
    await run.settle();
    assert.ok((await run.dollarsOf(first)) > 0n, "what it earned stays its own");
    await line(page, "Paid").getByText("The contract has sent it").waitFor();
  },
);

test(
  "an owner's wallet makes the run, pays in, finishes it, and takes back what is left",
  LIMIT,
  async (t) => {
    const run = await hostPaid(t);
    const { coordinator } = run;
    const opened = await openWithWallet(t, run, "owner");
    const { page, wallet } = opened;
    await page.getByText("This device fits.").waitFor();
    await train(page);
    await paused(run);
    await page.getByRole("link", { name: "Owner" }).click();
    await page.getByLabel("Token", { exact: true }).fill(coordinator.ownerToken);
    await press(page, "Enter");
    const card = page.getByRole("region", { name: "Pay", exact: true });
    await card.getByText("not yet").waitFor();
    await press(page, "Connect Test wallet");
    await press(page, "Switch the wallet to it");
    await page.getByText("Your wallet is on another network").waitFor({ state: "detached" });
    // The page is closed before the coordinator has heard of it: no second run is made.
    await page.route("**/pay/run", (route) => route.abort());
    await refuseThenPress(opened, "Make the run on its chain");
    await card.getByText("Making the run").first().waitFor();
    await page.unroute("**/pay/run");
    await page.reload();
    await card.getByText("run 1", { exact: true }).waitFor();
    assert.equal(wallet.asked.filter((one) => one === "eth_sendTransaction").length, 2, "one no");

    await card.getByLabel("Amount").fill("12.3456789");
    await press(page, "Pay in");
    await card.getByText("Write it as 250 or 0.5, with at most 6 decimals.").waitFor();
    await card.getByLabel("Amount").fill("12.5");
    await refuseThenPress(opened, "Pay in");
    await card.getByText("Done.").waitFor();
    await card.getByText("12.5\u202ftUSD").first().waitFor();
    await card.getByRole("button", { name: "Settle now" }).click();
    await card.getByText(/Settlement 1 waits for 1 more attestor/).waitFor();
    await run.attest();
    await card.getByRole("button", { name: "Settle now" }).click();
    await card.getByText(/Settlement 1 is posted, and final at/).waitFor();

    await press(page, "Finish on its chain");
    await press(page, "Keep it open");
    await press(page, "Finish on its chain");
    await press(page, "Finish");
    await card.getByText(/^Finished at /).waitFor();
    const before = await run.dollarsOf(wallet.account.address);
    assert.equal(before, 0n);
    await press(page, "Take back what is left");
    await card.getByText(/^The wallet could not:/).waitFor();
    assert.equal(
      wallet.asked.at(-1),
      "eth_estimateGas",
      "too early: nothing was asked to be signed",
    );
    run.later(3 * WINDOW_SECONDS + 1);
    await press(page, "Take back what is left");
    await card.getByText("Done.").waitFor();
    const after = await run.dollarsOf(wallet.account.address);
    const data = privateKeyToAccount(keccak256(toHex("data"))).address;
    await run.settle();
    assert.ok((await run.dollarsOf(data)) > 0n, "data is paid; the device has named nobody");
    assert.equal(after + (await run.dollarsOf(data)), 12_500_000n, "nothing is lost");
  },
);
