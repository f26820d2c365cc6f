// An owner with a host of their own, for real: `manyhands host`, a run created in the page from a
// template, led, trained by a guest's tab, stopped, and taken home; and what the guest has of it:
// a place on the leaderboard, a certificate, a key that goes along.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import type { Browser, BrowserContext, Download, Page } from "playwright-core";
import { startChromium } from "../browser/bare-site.ts";
import { plainEnvironment } from "../e2e/tiny-run.ts";
import { Process } from "../process.ts";
import { newPerson, openTab, train } from "./real-page.ts";

const LIMIT = { timeout: 240_000 };
const TEXT = "All the world's a stage, and all the men and women merely players. ".repeat(600);

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

type HostProcess = {
  readonly process: Process;
  readonly origin: string;
  readonly token: string;
};

async function startHost(t: TestContext, folder: string): Promise<HostProcess> {
  const args = ["host", folder, "--host", "127.0.0.1", "--port", "0"];
  const process = new Process(args, { environment: plainEnvironment() });
  t.after(() => (process.running ? process.kill() : undefined));
  const [, origin = ""] = await process.says(/Runs of .*, at (http\S+)/);
  const [, token = ""] = await process.says(/The host's token, which it asks for: (\S+)/);
  return { process, origin, token };
}

/** Fills in the form, and sends it. */
async function createRun(page: Page, token: string): Promise<void> {
  await page.getByLabel("Name", { exact: true }).fill("As you like it");
  await page
    .getByLabel("Text to learn from")
    .setInputFiles({ name: "stage.txt", mimeType: "text/plain", buffer: Buffer.from(TEXT) });
  await page.getByLabel("Template").selectOption("tiny");
  await page.getByText("133k parameters").waitFor();
  await page.getByLabel("Budget in tokens").fill("4");
  await page.getByLabel("The host's token").fill(token);
  await page.getByRole("button", { name: "Create the run" }).click();
}

async function savedFile(t: TestContext, page: Page, press: () => Promise<void>): Promise<string> {
  const coming = page.waitForEvent("download");
  await press();
  const download: Download = await coming;
  const folder = await mkdtemp(join(tmpdir(), "manyhands-saved-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

async function joinAs(
  t: TestContext,
  link: string,
  { name, team }: { readonly name: string; readonly team: string },
): Promise<{ readonly page: Page; readonly person: BrowserContext }> {
  const person = await newPerson(t, browser, { viewport: { width: 390, height: 844 } });
  const { page } = await openTab(t, person, link);
  await page.getByRole("link", { name: "Profile" }).click();
  await page.getByLabel("Display name").fill(name);
  await page.getByLabel("Team").fill(team);
  await page.getByRole("button", { name: "Keep" }).click();
  await page.goBack();
  await train(page);
  return { page, person };
}

test("an owner creates a run, leads it, ends it, and takes the model home", LIMIT, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-host-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { process, origin, token } = await startHost(t, folder);
  const owner = await newPerson(t, browser);
  const { page } = await openTab(t, owner, `${origin}/owner`);

  await createRun(page, "not-the-token");
  await page.getByText("The coordinator does not know this token.").waitFor();
  await createRun(page, token);
  await page.getByText("The run is there.").waitFor();
  const shown = page.getByText(new RegExp(`^${origin}/runs/[0-9a-f]{64}#`));
  const link = (await shown.textContent()) ?? "";
  const [, runId = ""] = /\/runs\/([0-9a-f]{64})#/.exec(link) ?? [];
  const kept = JSON.parse((await page.evaluate("sessionStorage['manyhands.owner']")) as string);
  assert.equal(kept.host, token);
  assert.ok(kept[runId], "the new run's own token is kept for as long as the tab lives");
  for (const secret of [token, kept[runId]]) assert.ok(!link.includes(secret), "not in the link");

  const guest = await joinAs(t, link, { name: "Rosalind", team: "Arden" });
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Go on" }).waitFor();
  await guest.page.getByText("paused", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();

  await page.getByRole("button", { name: "Stop the run" }).click();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByText("This run is finished").first().waitFor();
  const model = page.locator("div", { hasText: /^model\.safetensors/ }).getByRole("button");
  await model.waitFor();
  const path = await savedFile(t, page, () => model.click());
  assert.match(path, /model\.safetensors$/);
  assert.ok((await stat(path)).size > 4 * 133_440, "as large as its weights");
  await guestsPart(t, guest, runId);

  process.signal("SIGINT");
  assert.equal((await process.exit).code, 0, process.output);
  const again = await startHost(t, folder);
  assert.equal(again.token, token);
  await again.process.says(/As you like it \(finished\)/);
});

/** What the guest sees at the end: the leaderboard, the certificate, the totals, the key. */
async function guestsPart(
  t: TestContext,
  { page, person }: { readonly page: Page; readonly person: BrowserContext },
  runId: string,
): Promise<void> {
  await page.getByText(/You gave [\d.]+k? tokens in \d+ updates?\./).waitFor();
  await page.getByRole("link", { name: "Your certificate" }).click();
  const certificate = page.getByRole("img", {
    name: /^Rosalind took part in training As you like/,
  });
  await certificate.waitFor();
  const picture = await savedFile(t, page, () =>
    page.getByRole("button", { name: "Save as a picture" }).click(),
  );
  const png = await readFile(picture);
  assert.equal(png.subarray(1, 4).toString(), "PNG");
  assert.ok(png.length > 20_000, "something is drawn");

  await page.getByRole("link", { name: "People" }).click();
  await page.getByText("Rosalind").first().waitFor();
  await page.getByRole("button", { name: "Teams" }).click();
  await page.getByText("Arden").first().waitFor();

  await page.getByRole("link", { name: "Profile" }).click();
  await page.getByRole("link", { name: /tokens$/ }).waitFor();
  const key = await savedFile(t, page, () =>
    page.getByRole("button", { name: "Save the key as a file" }).click(),
  );
  const other = await person.browser()?.newContext();
  assert.ok(other);
  t.after(() => other.close());
  const otherPage = await other.newPage();
  await otherPage.goto(`${new URL(page.url()).origin}/profile`);
  const file = otherPage.locator("input[type=file]");
  await file.setInputFiles({
    name: "x.json",
    mimeType: "application/json",
    buffer: Buffer.from("{}"),
  });
  await otherPage.getByText(/This file holds no key of Manyhands\./).waitFor();
  await file.setInputFiles(key);
  await otherPage.getByText("The key was read. This device is now the one of that key.").waitFor();

  // Whoever has the link is no owner.
  const token = (await page.evaluate("localStorage['manyhands.links']")) as string;
  await page.getByRole("link", { name: "Owner" }).click();
  await page.getByLabel("Token", { exact: true }).fill(JSON.parse(token)[runId]);
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText("The coordinator does not know this token.").waitFor();
}
