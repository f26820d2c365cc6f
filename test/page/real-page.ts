// The page as it is built for people, served by a real coordinator, in a real Chromium: what the
// tests of this folder share. Not a pretence: the device trains. `npm run build` comes first.
import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Coordinator } from "@manyhands/coordinator/serve";
import type { RunEvent } from "@manyhands/protocol/events";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";

export const DIST = join(import.meta.dirname, "../../apps/web/dist");

/** Long: several of these run beside other work. A test that must fail does so by its own limit. */
const PATIENCE_MS = 90_000;

/** A person's browser of its own: storage that no other test sees. */
export async function newPerson(
  t: TestContext,
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const person = await browser.newContext(options);
  t.after(() => person.close());
  return person;
}

/** The built page once more, with a script before the device's thread's own. */
export async function pageWithThread(t: TestContext, script: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-page-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await cp(DIST, folder, { recursive: true });
  const names = await readdir(join(folder, "assets"));
  const name = names.find((one) => /^device\.worker-.*\.js$/.test(one));
  assert.ok(name, "the page has been built: npm run build");
  const path = join(folder, "assets", name);
  await rm(`${path}.gz`);
  await writeFile(path, `${script}\n${await readFile(path, "utf8")}`);
  return folder;
}

/** A tab on the run's join link. Whatever breaks in it fails the test. */
export async function openTab(
  t: TestContext,
  person: BrowserContext,
  link: string,
): Promise<{ readonly page: Page; readonly problems: readonly string[] }> {
  const page = await person.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy/.test(message.text())) problems.push(message.text());
  });
  t.after(() => assert.deepEqual(problems, []));
  await page.goto(link.replace("#", "?compute=wasm#"));
  return { page, problems };
}

/** Presses the button, and waits for the first update that is accepted. */
export async function train(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^(Train with this device|Try it)$/ }).click();
  await page.getByText("First update after").waitFor();
}

/** What this browser keeps for the device under a key; undefined if nothing. */
export function shelved(page: Page, key: string): Promise<unknown> {
  return page.evaluate(`new Promise((resolve) => {
    const opening = indexedDB.open("manyhands", 1);
    opening.onsuccess = () => {
      const store = opening.result.transaction("things").objectStore("things");
      const request = store.get(${JSON.stringify(key)});
      request.onsuccess = () => {
        opening.result.close();
        resolve(request.result);
      };
    };
  })`);
}

/** Resolves with the next event of this kind, from now on. */
export function nextEvent<K extends RunEvent["type"]>(
  coordinator: Pick<Coordinator, "onEvent">,
  type: K,
): Promise<RunEvent> {
  return new Promise((resolve) => {
    const stop = coordinator.onEvent((event) => {
      if (event.type !== type) return;
      stop();
      resolve(event);
    });
  });
}

/** What the browser tells of its device, in the test's hands: `simulate({ charging: false })`. */
export const SIMULATED_DEVICE = `
  const battery = Object.assign(new EventTarget(), { charging: true });
  navigator.getBattery = async () => battery;
  const connection = Object.assign(new EventTarget(), { type: "wifi", saveData: false });
  Object.defineProperty(navigator, "connection", { value: connection });
  let visibility = "visible";
  Object.defineProperty(document, "visibilityState", { get: () => visibility });
  globalThis.simulate = (state) => {
    if (state.charging !== undefined) battery.charging = state.charging;
    if (state.network !== undefined) connection.type = state.network;
    if (state.visibility !== undefined) visibility = state.visibility;
    battery.dispatchEvent(new Event("chargingchange"));
    connection.dispatchEvent(new Event("change"));
    document.dispatchEvent(new Event("visibilitychange"));
  };
`;

/**
 * The thread's clock in the test's hands, from the first `tick` on: every look at it takes so many
 * ms, so a step takes as long as the test says and not as long as a busy machine needs. `skip`: so
 * much time goes by at once.
 */
export const SIMULATED_CLOCK = `
  {
    const real = performance.now.bind(performance);
    let now = null;
    let tick = 0;
    performance.now = () => (now === null ? real() : (now += tick));
    new BroadcastChannel("test-clock").onmessage = ({ data }) => {
      tick = data.tick ?? tick;
      now = (now ?? real()) + (data.skip ?? 0);
    };
  }
`;

export function tellClock(
  page: Page,
  news: { readonly tick?: number; readonly skip?: number },
): Promise<void> {
  return page.evaluate((data) => new BroadcastChannel("test-clock").postMessage(data), news);
}
