// A person's part in a run: what it takes, before anything heavy is loaded; a run that fits, where
// a device is too small; and the ways to stop: pause, finish, leave.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { type Host, startHost } from "@manyhands/coordinator/serve";
import type { Browser } from "playwright-core";
import { hostTiny, startChromium, tinyRun } from "../browser/bare-site.ts";
import { DIST, newPerson, nextEvent, openTab, train } from "./real-page.ts";

const LIMIT = { timeout: 120_000 };

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

const large = (text: string): string =>
  text
    .replace("name: tiny", "name: large")
    .replace("hiddenSize: 32", "hiddenSize: 256")
    .replace("intermediateSize: 64", "intermediateSize: 704")
    .replace("numHiddenLayers: 1", "numHiddenLayers: 6");

/** A large run and a tiny one at one address. */
async function hostTwo(t: TestContext): Promise<Host> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-two-"));
  const runs = [
    { runFolder: join(folder, "large"), create: await tinyRun(folder, large) },
    { runFolder: join(folder, "tiny"), create: await tinyRun(folder, (text) => text) },
  ];
  const host = await startHost({ page: DIST }, runs);
  t.after(async () => {
    await host.close();
    await rm(folder, { recursive: true, force: true });
  });
  return host;
}

test("too small: it is told why, and offered a run that fits", LIMIT, async (t) => {
  const host = await hostTwo(t);
  const [big, small] = host.runs;
  assert.ok(big && small);
  const person = await newPerson(t, browser);
  const heavy: string[] = [];
  person.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (/\.wasm$|\/blobs\//.test(pathname)) heavy.push(pathname);
  });
  // The person has opened both links, and allows little memory.
  const { page } = await openTab(t, person, small.joinUrl);
  await page.getByText("This device fits.").waitFor();
  await page.getByRole("link", { name: "Limits" }).click();
  await page.getByLabel("Memory").fill("0");
  await page.getByText("256\u202fMB").waitFor();
  await page.goto(big.joinUrl.replace("#", "?compute=wasm#"));
  await page.getByText("This device is too small for this run.").waitFor();
  await page.getByText(/Training needs about \d+ MB of memory; this page may take/).waitFor();
  assert.equal(await page.getByRole("button", { name: "Train with this device" }).count(), 0);
  const other = page.getByRole("link", { name: "A run that fits: tiny" });
  await other.click();
  await page.getByRole("heading", { name: "Help train “tiny”" }).waitFor();
  await page.getByText("This device fits.").waitFor();
  for (const cost of ["To download", "Each round, about", "Memory", "Battery"]) {
    await page.getByText(cost, { exact: true }).first().waitFor();
  }
  assert.deepEqual(heavy, [], "nothing heavy was loaded before the person said so");
  const credited = nextEvent(small, "UpdateCommitted");
  await page.getByRole("button", { name: "Train with this device" }).click();
  await credited;
});

test(
  "at work for one run, another one's screen says so, and shows none of its numbers",
  LIMIT,
  async (t) => {
    const host = await hostTwo(t);
    const [big, small] = host.runs;
    assert.ok(big && small);
    const person = await newPerson(t, browser);
    const { page } = await openTab(t, person, big.joinUrl);
    await page.getByText("This device fits.").waitFor();
    await page.goto(small.joinUrl.replace("#", "?compute=wasm#"));
    await train(page);
    await page.getByRole("link", { name: "Manyhands", exact: true }).click();
    await page.getByRole("link", { name: "large" }).click();
    await page.getByText("This device is at work for another run").waitFor();
    assert.equal(await page.getByRole("button", { name: "Pause" }).count(), 0);
    await page.getByRole("link", { name: /^Go there/ }).click();
    await page.getByRole("button", { name: "Finish this round, then stop" }).click();
    await page.getByRole("heading", { name: "Thank you" }).waitFor();
    await page.getByRole("link", { name: "Manyhands", exact: true }).click();
    await page.getByRole("link", { name: "large" }).click();
    const credited = nextEvent(big, "UpdateCommitted");
    await page.getByRole("button", { name: "Train with this device" }).click();
    await credited;
  },
);

test("pause, go on; finish, take part again; leave", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST);
  const { page } = await openTab(t, await newPerson(t, browser), coordinator.joinUrl);
  await train(page);
  const press = (name: string): Promise<void> =>
    page.getByRole("button", { name, exact: true }).click();
  const paused = nextEvent(coordinator, "WorkerLeft");
  await press("Pause");
  await page.getByText("Paused by you.").waitFor();
  await paused;
  const credited = nextEvent(coordinator, "UpdateCommitted");
  await press("Go on");
  await credited;

  const finished = nextEvent(coordinator, "WorkerLeft");
  await press("Finish this round, then stop");
  await page.getByText(/^Stopped, as you asked, after \d+ accepted updates?\.$/).waitFor();
  await finished;
  await page.getByText(/You gave [\d.]+k? tokens in \d+ updates?\./).waitFor();
  const again = nextEvent(coordinator, "UpdateCommitted");
  await press("Take part again");
  await again;

  const left = nextEvent(coordinator, "WorkerLeft");
  await press("Leave the run");
  await page.getByText("Leave? What you gave stays yours.").waitFor();
  await press("Leave");
  await page.getByRole("heading", { name: "Thank you" }).waitFor();
  await left;
  const [worker] = coordinator.status().workers;
  assert.equal(coordinator.status().workers.length, 1, "one person, one key");
  assert.ok(worker && worker.credit > 0 && !worker.active);
});
