// What happens to a device's tab in real life: killed, frozen, its storage cleared, its coordinator
// restarted. It recovers, with its keys, or says what to do.
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Device, DeviceView } from "@manyhands/worker/browser/device-view";
import type { Browser } from "playwright-core";
import { buildBarePage, hostTiny, newPerson, startChromium } from "./bare-site.ts";
import { creditOf, oneMoreUpdate, open, start } from "./person.ts";

declare const device: Device;
declare const views: DeviceView[];

const LIMIT = { timeout: 120_000 };

let browser: Browser;
let folder: string;

before(async () => {
  folder = await buildBarePage();
  browser = await startChromium();
});

after(async () => {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
});

test("a tab whose process is killed: the next one goes on as the same worker", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const person = await newPerson(t, browser);
  const page = await open(person, coordinator);
  await start(page, coordinator);
  const before = await oneMoreUpdate(page);
  const crashed = page.waitForEvent("crash");
  await page.goto("chrome://crash").catch(() => undefined);
  await crashed;
  await page.close();
  const next = await open(person, coordinator);
  await next.evaluate((url) => device.look(url), coordinator.joinUrl);
  await oneMoreUpdate(next);
  const after = await oneMoreUpdate(next);
  assert.equal(after.workerId, before.workerId);
  assert.ok(after.updates > before.updates, "the ledger was kept");
  assert.equal(after.offer?.fit, "fits", "a tab that was killed in the middle is no crash of ours");
});

test("a coordinator that is restarted finds the device again", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const page = await open(await newPerson(t, browser), coordinator);
  await start(page, coordinator);
  const { workerId } = await oneMoreUpdate(page);
  const again = await coordinator.restart();
  const credit = creditOf(again, workerId);
  await oneMoreUpdate(page);
  await oneMoreUpdate(page);
  assert.ok(creditOf(again, workerId) > credit);
  const away = await page.evaluate(() => views.some(({ now }) => /^Not connected/.test(now)));
  assert.ok(away, "it said that it was away");
});

test("a frozen tab goes on when it thaws", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const person = await newPerson(t, browser);
  const page = await open(person, coordinator);
  await start(page, coordinator);
  await oneMoreUpdate(page);
  const session = await person.newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await oneMoreUpdate(page);
});

test("storage that is cleared under its hands: it goes on, and keeps anew", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const person = await newPerson(t, browser);
  const page = await open(person, coordinator);
  await start(page, coordinator);
  const { workerId } = await oneMoreUpdate(page);
  const session = await person.newCDPSession(page);
  const { origin } = new URL(coordinator.url);
  await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "all" });
  await oneMoreUpdate(page);
  const { workerId: still, problem } = await oneMoreUpdate(page);
  assert.deepEqual([still, problem], [workerId, null]);
});
