// What happens to a person's tab, seen on the real page: killed in the middle of its work, without
// network, without its coordinator, with a clock that is wrong and jumps, its storage cleared. It
// recovers, or says what to do; the run goes on. More of it, on a bare page: test/browser.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { hostTiny, startChromium } from "../browser/bare-site.ts";
import { cableTo } from "./cable.ts";
import {
  DIST,
  newPerson,
  nextEvent,
  openTab,
  pageWithThread,
  shelved,
  train,
} from "./real-page.ts";

const LIMIT = { timeout: 120_000 };

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

async function kill(page: Page): Promise<void> {
  const crashed = page.waitForEvent("crash");
  await page.goto("chrome://crash").catch(() => undefined);
  await crashed;
  await page.close();
}

const TOKENS_PER_STEP = 256;

test(
  "killed in the middle: the same device goes on, with all of its optimiser's steps",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, DIST);
    const person = await newPerson(t, browser);
    const { page } = await openTab(t, person, coordinator.joinUrl);
    await train(page);
    const event = await nextEvent(coordinator, "UpdateCommitted");
    await kill(page);
    const worker = coordinator.status().workers[0];
    assert.ok(worker && event.type === "UpdateCommitted");
    const next = await person.newPage();
    // Any address of the same origin, and none that wakes the device.
    await next.goto(`${coordinator.url}/manifest.webmanifest`);
    const kept = await shelved(next, `run/${coordinator.runId}/optimizer`);
    const steps = Reflect.get(Object(Reflect.get(Object(kept), "header")), "step");
    assert.ok(steps * TOKENS_PER_STEP >= worker.credit, `${steps} steps, ${worker.credit} tokens`);
    await next.goto(coordinator.joinUrl);
    // By itself: no button is pressed.
    const credited = await nextEvent(coordinator, "UpdateCommitted");
    assert.equal(credited.type === "UpdateCommitted" && credited.workerId, worker.workerId);
    assert.equal(coordinator.status().workers.length, 1);
  },
);

/** Resolves when the mark of a first step that is being tried lies in this browser's storage. */
async function marked(page: Page): Promise<void> {
  while ((await shelved(page, "device/trying/wasm")) !== true);
}

test(
  "killed in its first step: the next visit says so, waits, and is careful",
  LIMIT,
  async (t) => {
    // To compile this and take a step of it takes longer than to kill the tab.
    const edit = (text: string): string =>
      text
        .replace("hiddenSize: 32", "hiddenSize: 256")
        .replace("intermediateSize: 64", "intermediateSize: 704")
        .replace("numHiddenLayers: 1", "numHiddenLayers: 5")
        .replace("innerSteps: 4", "innerSteps: 1");
    const coordinator = await hostTiny(t, DIST, { edit });
    const person = await newPerson(t, browser);
    const { page } = await openTab(t, person, coordinator.joinUrl);
    await page.getByRole("button", { name: "Train with this device" }).click();
    await marked(page);
    await kill(page);
    const { page: next } = await openTab(t, person, coordinator.joinUrl);
    await next
      .getByText("An earlier visit ended in its first step, so this time it takes at most half")
      .waitFor();
    await train(next);
    await next.reload();
    await next.getByText("An earlier visit ended").waitFor({ state: "detached" });
    await nextEvent(coordinator, "UpdateCommitted");
  },
);

test("without network: it says so; with it again: it goes on by itself", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST);
  const cable = await cableTo(t, coordinator);
  const person = await newPerson(t, browser);
  const { page } = await openTab(t, person, cable.link);
  await train(page);
  cable.pull();
  await person.setOffline(true);
  await page
    .getByText("This device is offline. The page goes on when the network is back.")
    .waitFor();
  await page.getByText(/^Not connected/).waitFor();
  const before = coordinator.status().tokensCommitted;
  cable.plug();
  await person.setOffline(false);
  await nextEvent(coordinator, "UpdateCommitted");
  await nextEvent(coordinator, "UpdateCommitted");
  assert.ok(coordinator.status().tokensCommitted > before);
  await page.getByText("This device is offline").waitFor({ state: "hidden" });
});

test("the coordinator is away for a while: it says so, and finds it again", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST);
  const person = await newPerson(t, browser);
  const { page } = await openTab(t, person, coordinator.joinUrl);
  await train(page);
  await coordinator.close();
  await page.getByText("The coordinator does not answer.").waitFor();
  await page.getByText(/Last heard from it .* ago/).waitFor();
  await page.getByText(/^Not connected/).waitFor();
  const again = await coordinator.restart();
  await nextEvent(again, "UpdateCommitted");
  await page.getByText("The coordinator does not answer.").waitFor({ state: "detached" });
  await page.getByText(/^Training round/).waitFor();
});

/** Three years behind, until the test sets it. */
const WRONG_DATE = `
  {
    const Right = Date;
    let offset = -3 * 365 * 86_400_000;
    globalThis.Date = class extends Right {
      constructor(...parts) {
        if (parts.length === 0) super(Right.now() + offset);
        else super(...parts);
      }
      static now() {
        return Right.now() + offset;
      }
    };
    new BroadcastChannel("test-date").onmessage = ({ data }) => (offset = data);
  }
`;

test(
  "a clock that is years behind, and then set: nothing is lost, nothing is absurd",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, await pageWithThread(t, WRONG_DATE));
    const person = await newPerson(t, browser);
    await person.addInitScript(WRONG_DATE);
    const { page } = await openTab(t, person, coordinator.joinUrl);
    await train(page);
    const year = await page.evaluate(() => new Date().getFullYear());
    assert.ok(year < new Date().getFullYear(), "the page's clock is wrong");
    const [worker] = coordinator.status().workers;
    for (const offset of [0, 40 * 86_400_000, -86_400_000]) {
      await page.evaluate((ms) => new BroadcastChannel("test-date").postMessage(ms), offset);
      await nextEvent(coordinator, "UpdateCommitted");
      await nextEvent(coordinator, "UpdateCommitted");
    }
    const { workers } = coordinator.status();
    assert.deepEqual(
      workers.map(({ workerId }) => workerId),
      [worker?.workerId],
    );
    // Told in seconds: not the years between two clocks.
    await page
      .getByText(/^\d+(\.\d+)?\u202fs$/)
      .first()
      .waitFor();
    await page.getByText("The coordinator does not answer.").waitFor({ state: "detached" });
  },
);
