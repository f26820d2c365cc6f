// Before anything heavy is loaded: what a run takes, whether this device fits, and, where it is too
// small, a run of the same coordinator that it can train.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { type Host, startHost } from "@manyhands/coordinator/serve";
import type { Browser } from "playwright-core";
import { startChromium, tinyRun } from "../browser/bare-site.ts";
import { DIST, newPerson, nextEvent, openTab } from "./real-page.ts";

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
