// The model, tried in the page while the run goes on: it writes as it thinks, stops when it is told
// to, and two states of the run write side by side, each with weights that the log names.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { hostTiny, startChromium } from "../browser/bare-site.ts";
import { DIST, newPerson, nextEvent, openTab, train } from "./real-page.ts";

const LIMIT = { timeout: 120_000 };
const VERIFIED = "Its weights have the root that the log names.";

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

test("two rounds side by side, streamed, and stopped", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST);
  const { page } = await openTab(t, await newPerson(t, browser), coordinator.joinUrl);
  await train(page);
  await nextEvent(coordinator, "RoundClosed");
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("Paused by you.").waitFor();

  await page.getByRole("link", { name: "Model" }).click();
  await page.getByRole("switch", { name: "Compare two rounds" }).check();
  await page.getByText("Before the first round").waitFor();
  await page.getByLabel("Length").fill("100");
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByText(VERIFIED).nth(1).waitFor();
  const stories = page.locator(".story[aria-busy=false]");
  await stories.nth(1).waitFor();
  const [newest = "", first = ""] = await stories.allTextContents();
  // An untrained model writes bytes of which several may be one character.
  assert.ok(newest.length > 50 && first.length > 50, `${newest.length}, ${first.length}`);
  assert.notEqual(newest, first, "the run has changed the model");

  await page.getByRole("switch", { name: "Compare two rounds" }).uncheck();
  await page.getByLabel("Length").fill("2000");
  await page.getByRole("button", { name: "Write" }).click();
  const writing = page.locator(".story[aria-busy=true]");
  await writing.waitFor();
  // It is shown while it is written.
  await page.locator(".story[aria-busy=true]", { hasText: /.{40}/s }).waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByRole("button", { name: "Write" }).waitFor();
  const stopped = (await stories.first().textContent()) ?? "";
  assert.ok(stopped.length > 40 && stopped.length < 2_000, `${stopped.length} characters`);
});
