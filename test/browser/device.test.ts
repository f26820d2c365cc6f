// The device in a real Chromium, on a page without an interface, beside a real coordinator: it
// trains and is credited, rests for every limit by its name, and comes back after a reload.
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Device, DeviceSettings } from "@manyhands/worker/browser/device-view";
import type { Browser, Page } from "playwright-core";
import { buildBarePage, hostTiny, newPerson, startChromium } from "./bare-site.ts";
import { creditOf, look, oneMoreUpdate, open, start, until } from "./person.ts";

declare const device: Device;

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

test("it says what it will cost, trains on WASM, is credited, finishes", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const person = await newPerson(t, browser);
  const page = await open(person, coordinator);
  const loaded: string[] = [];
  page.on("request", (request) => loaded.push(new URL(request.url()).pathname));
  assert.equal(await page.evaluate("crossOriginIsolated"), true);
  const { offer } = await look(page, coordinator);
  assert.ok(offer);
  assert.equal(offer.fit, "fits");
  assert.equal(offer.why, null);
  assert.equal(offer.compute, "wasm");
  assert.equal(offer.dataBytes, 31_500);
  assert.equal(offer.keptBytes, 0);
  assert.ok(offer.memoryBytes > 100e6 && offer.runtimeBytes > 1e6 && offer.roundBytes > 1e3);
  assert.deepEqual(
    loaded.filter((path) => /wasm|blobs/.test(path)),
    [],
    "nothing heavy before the person starts",
  );
  await start(page, coordinator);
  const first = await oneMoreUpdate(page);
  assert.equal(first.phase, "training");
  assert.ok(first.tokens >= 1_024 && first.bytesUsed > offer.dataBytes);
  assert.ok((first.firstUpdateMs ?? 0) > 0);
  t.diagnostic(`navigation to first accepted update: ${first.firstUpdateMs} ms`);
  await page.evaluate(() => device.finish());
  const end = await until(page, { phase: "ended" });
  assert.match(end.now, /^Stopped, as you asked, after \d+ accepted update/);
  assert.equal(end.problem, null);
  const status = coordinator.status().workers.find((it) => it.workerId === end.workerId);
  assert.equal(status?.numerics, "ort-wasm");
  assert.ok(creditOf(coordinator, end.workerId) >= 1_024);
  assert.equal(status?.connected, false);
});

test("killed in the middle: the same worker goes on by itself", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const person = await newPerson(t, browser);
  const page = await open(person, coordinator);
  await start(page, coordinator);
  const before = await oneMoreUpdate(page);
  await page.reload();
  await page.waitForFunction("globalThis.device !== undefined");
  await page.evaluate((url) => device.look(url), coordinator.joinUrl);
  await oneMoreUpdate(page);
  const after = await oneMoreUpdate(page);
  assert.equal(after.workerId, before.workerId);
  assert.ok(after.updates > before.updates && after.tokens > before.tokens);
  const { offer } = after;
  assert.equal(offer?.keptBytes, offer && offer.runtimeBytes + offer.dataBytes);
  assert.equal(coordinator.status().workers.length, 1);
});

test("pause, resume, leave; a pause outlasts a reload", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const page = await open(await newPerson(t, browser), coordinator);
  await start(page, coordinator);
  await oneMoreUpdate(page);
  await page.evaluate(() => device.pause());
  assert.equal((await until(page, { phase: "paused" })).now, "Paused by you.");
  await page.reload();
  await page.waitForFunction("globalThis.device !== undefined");
  await page.evaluate((url) => device.look(url), coordinator.joinUrl);
  await until(page, { phase: "paused" });
  await page.evaluate(() => device.resume());
  await oneMoreUpdate(page);
  await page.evaluate(() => device.leave());
  const { problem } = await until(page, { phase: "ended" });
  assert.equal(problem, null);
  await page.reload();
  await page.waitForFunction("globalThis.device !== undefined");
  await look(page, coordinator);
});

test("a second tab says so, and takes over when the first is closed", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const person = await newPerson(t, browser);
  const first = await open(person, coordinator);
  await start(first, coordinator);
  const { workerId } = await oneMoreUpdate(first);
  const second = await open(person, coordinator);
  await second.evaluate((url) => device.look(url), coordinator.joinUrl);
  const { now } = await until(second, { phase: "elsewhere" });
  assert.match(now, /Another tab .* Close it/);
  await first.close();
  const taken = await oneMoreUpdate(second);
  assert.equal(taken.workerId, workerId);
});

/** A limit that holds, and the change that lifts it. */
async function restsAndGoesOn(
  page: Page,
  {
    hold,
    lift,
    sentence,
  }: { hold: () => Promise<void>; lift: () => Promise<void>; sentence: RegExp },
): Promise<void> {
  await hold();
  const { now, problem } = await until(page, { phase: "resting" });
  assert.match(now, sentence);
  assert.equal(problem, null);
  await lift();
  // An update that was on its way when it rested may still be accepted while it rests.
  await until(page, { phase: "training" });
  await oneMoreUpdate(page);
}

function change(page: Page, changes: Partial<DeviceSettings>): Promise<void> {
  return page.evaluate((some) => device.setSettings({ ...device.settings(), ...some }), changes);
}

test("settings by name: hours, data cap, memory cap", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const page = await open(await newPerson(t, browser), coordinator);
  await start(page, coordinator);
  await oneMoreUpdate(page);
  const now = new Date();
  const minute = now.getHours() * 60 + now.getMinutes();
  const later = { from: (minute + 120) % 1_440, to: (minute + 180) % 1_440 };
  await restsAndGoesOn(page, {
    hold: () => change(page, { hours: later }),
    lift: () => change(page, { hours: null }),
    sentence: /^Resting until \d+:\d\d, as you planned\.$/,
  });
  await restsAndGoesOn(page, {
    hold: () => change(page, { dataBytesPerDay: 1_000 }),
    lift: () => change(page, { dataBytesPerDay: null }),
    sentence: /^Today’s 1 MB of data are used up/,
  });
  await restsAndGoesOn(page, {
    hold: () => change(page, { memoryBytesMax: 50e6 }),
    lift: () => change(page, { memoryBytesMax: null }),
    sentence: /needs about \d+ MB of memory; you allow 50 MB/,
  });
});

/** What this browser tells of its device, and how a test changes it. */
const SIMULATED = `
  const battery = Object.assign(new EventTarget(), { charging: true });
  navigator.getBattery = async () => battery;
  const connection = Object.assign(new EventTarget(), { type: "wifi", saveData: false });
  Object.defineProperty(navigator, "connection", { value: connection });
  let hidden = "visible";
  Object.defineProperty(document, "visibilityState", { get: () => hidden });
  globalThis.simulate = ({ charging, type, visibility }) => {
    if (charging !== undefined) battery.charging = charging;
    if (type !== undefined) connection.type = type;
    if (visibility !== undefined) hidden = visibility;
    battery.dispatchEvent(new Event("chargingchange"));
    connection.dispatchEvent(new Event("change"));
    document.dispatchEvent(new Event("visibilitychange"));
  };
`;
type Simulated = { charging?: boolean; type?: string; visibility?: string };
declare function simulate(state: Simulated): void;

test("settings by name: charging, unmetered network, visible page", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder);
  const person = await newPerson(t, browser);
  await person.addInitScript(SIMULATED);
  const page = await open(person, coordinator);
  const set = (state: Simulated) => page.evaluate((value) => simulate(value), state);
  assert.deepEqual(
    await page.evaluate(() => [device.defaults().onlyCharging, device.defaults().onlyUnmetered]),
    [true, true],
  );
  await start(page, coordinator, { onlyCharging: true, onlyUnmetered: true, onlyVisible: true });
  await oneMoreUpdate(page);
  await restsAndGoesOn(page, {
    hold: () => set({ visibility: "hidden" }),
    lift: () => set({ visibility: "visible" }),
    sentence: /not in front/,
  });
  await restsAndGoesOn(page, {
    hold: () => set({ charging: false }),
    lift: () => set({ charging: true }),
    sentence: /until the device is charging/,
  });
  await restsAndGoesOn(page, {
    hold: () => set({ type: "cellular" }),
    lift: () => set({ type: "wifi" }),
    sentence: /network that is not metered/,
  });
});

test(
  "keys leave as a text and come back; a wrong one is refused in a sentence",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, folder);
    const page = await open(await newPerson(t, browser), coordinator);
    assert.equal(await page.evaluate(() => device.exportKey()), null);
    await start(page, coordinator);
    const { workerId } = await oneMoreUpdate(page);
    const text = await page.evaluate(() => device.exportKey());
    const busy = await page.evaluate((key) => device.importKey(key ?? ""), text);
    assert.match(busy ?? "", /Leave the run first/);
    const other = await open(await newPerson(t, browser), coordinator);
    const wrong = await other.evaluate(() => device.importKey("{}"));
    assert.match(wrong ?? "", /^This is not a device key/);
    assert.equal(await other.evaluate((key) => device.importKey(key ?? ""), text), null);
    await page.evaluate(() => device.leave());
    await until(page, { phase: "ended" });
    await start(other, coordinator);
    assert.equal((await oneMoreUpdate(other)).workerId, workerId);
  },
);

test(
  "a link with another token, and a coordinator that is away, are told in a sentence",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, folder);
    const page = await open(await newPerson(t, browser), coordinator);
    const wrong = `${coordinator.runUrl}#nonsense`;
    await page.evaluate((url) => device.look(url), wrong);
    const { problem } = await until(page, { now: "The link’s token is not this run’s." });
    assert.match(problem?.hint ?? "", /join link again/);
    await coordinator.close();
    await page.evaluate((url) => device.look(url), coordinator.joinUrl);
    await page.waitForFunction(() => /does not answer/.test(device.view().now));
  },
);
