// Every limit that a person can set, one by one, through the real page: the switch or slider is
// moved on the page, the device's condition is simulated, and the device rests and says why; the
// condition goes, and it trains again. What a condition means: packages/worker/src/device.
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import type { Coordinator } from "@manyhands/coordinator/serve";
import { HEAT_REST_MS } from "@manyhands/worker/device/heat";
import type { Browser, Page } from "playwright-core";
import { hostTiny, startChromium } from "../browser/bare-site.ts";
import {
  DIST,
  newPerson,
  nextEvent,
  openTab,
  pageWithThread,
  SIMULATED_CLOCK,
  SIMULATED_DEVICE,
  tellClock,
  train,
} from "./real-page.ts";

type Condition = { charging?: boolean; network?: string; visibility?: string };
declare function simulate(condition: Condition): void;

const LIMIT = { timeout: 120_000 };
const FREE = "Nothing keeps this device from working.";

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

type Training = { readonly page: Page; readonly coordinator: Coordinator };

type Choices = {
  /** A script before the device's thread's own. */
  readonly inThread?: string;
  /** Changes the run's file. */
  readonly edit?: (text: string) => string;
};

/** A device that trains, and its page at the screen of limits. */
async function trainingWithLimits(t: TestContext, choices: Choices = {}): Promise<Training> {
  const { inThread, edit = (text) => text } = choices;
  const folder = inThread === undefined ? DIST : await pageWithThread(t, inThread);
  const coordinator = await hostTiny(t, folder, { edit });
  const person = await newPerson(t, browser);
  await person.addInitScript(SIMULATED_DEVICE);
  const { page } = await openTab(t, person, coordinator.joinUrl);
  await train(page);
  await toLimits(page);
  await page.getByText(FREE).waitFor();
  return { page, coordinator };
}

function toLimits(page: Page): Promise<void> {
  return page.getByRole("link", { name: "Limits", exact: true }).click();
}

function meet(page: Page, condition: Condition): Promise<void> {
  return page.evaluate((one) => simulate(one), condition);
}

type Limit = {
  readonly hold: () => Promise<void>;
  readonly lift: () => Promise<void>;
  readonly sentence: string | RegExp;
};

/** It leaves the run with the sentence on the page, and comes back and is credited. */
async function restsAndGoesOn({ page, coordinator }: Training, limit: Limit): Promise<void> {
  const left = nextEvent(coordinator, "WorkerLeft");
  await limit.hold();
  await page.getByText(limit.sentence).waitFor();
  await left;
  const credited = nextEvent(coordinator, "UpdateCommitted");
  await limit.lift();
  await page.getByText(FREE).waitFor();
  await credited;
}

test("only while charging", LIMIT, async (t) => {
  const training = await trainingWithLimits(t);
  const { page } = training;
  const charging = page.getByRole("switch", { name: "Only while charging" });
  assert.ok(await charging.isChecked(), "on by default, where the browser tells");
  await restsAndGoesOn(training, {
    hold: () => meet(page, { charging: false }),
    lift: () => meet(page, { charging: true }),
    sentence: "Resting until the device is charging.",
  });
  await restsAndGoesOn(training, {
    hold: () => meet(page, { charging: false }),
    lift: () => charging.click(),
    sentence: "Resting until the device is charging.",
  });
});

test("only on unmetered networks", LIMIT, async (t) => {
  const training = await trainingWithLimits(t);
  const { page } = training;
  const unmetered = page.getByRole("switch", { name: "Only on unmetered networks" });
  assert.ok(await unmetered.isChecked(), "on by default, where the browser tells");
  await restsAndGoesOn(training, {
    hold: () => meet(page, { network: "cellular" }),
    lift: () => meet(page, { network: "wifi" }),
    sentence: "Resting until there is a network that is not metered.",
  });
  await restsAndGoesOn(training, {
    hold: () => meet(page, { network: "cellular" }),
    lift: () => unmetered.click(),
    sentence: "Resting until there is a network that is not metered.",
  });
});

test("only while this page is visible", LIMIT, async (t) => {
  const training = await trainingWithLimits(t);
  const { page } = training;
  await page.getByRole("switch", { name: "Only while this page is visible" }).check();
  await restsAndGoesOn(training, {
    hold: () => meet(page, { visibility: "hidden" }),
    lift: () => meet(page, { visibility: "visible" }),
    sentence: "Resting while this page is not in front.",
  });
});

test("only at these hours", LIMIT, async (t) => {
  const training = await trainingWithLimits(t);
  const { page } = training;
  const schedule = page.getByRole("switch", { name: "Only at these hours" });
  const hour = (later: number): string => {
    const at = (new Date().getHours() + later) % 24;
    return `${String(at).padStart(2, "0")}:00`;
  };
  await restsAndGoesOn(training, {
    hold: async () => {
      await schedule.check();
      await page.getByLabel("From").fill(hour(3));
      await page.getByLabel("To", { exact: true }).fill(hour(5));
    },
    // From an hour ago to in two hours.
    lift: async () => {
      await page.getByLabel("From").fill(hour(23));
      await page.getByLabel("To", { exact: true }).fill(hour(2));
    },
    sentence: `Resting until ${Number(hour(3).slice(0, 2))}:00, as you planned.`,
  });
});

/** What the device has counted today, as if it had come and gone. */
const SIXTY_MEGABYTES_TODAY = `
  new Promise((resolve) => {
    const two = (value) => String(value).padStart(2, "0");
    const now = new Date();
    const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
    const opening = indexedDB.open("manyhands", 1);
    opening.onsuccess = () => {
      const change = opening.result.transaction("things", "readwrite");
      change.objectStore("things").put({ day, bytes: 60e6 }, "device/data-today");
      change.oncomplete = () => resolve(opening.result.close());
    };
  })
`;

test("data per day", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST);
  const person = await newPerson(t, browser);
  await person.addInitScript(SIMULATED_DEVICE);
  const { page } = await openTab(t, person, coordinator.joinUrl);
  await page.getByText("This device fits.").waitFor();
  await page.evaluate(SIXTY_MEGABYTES_TODAY);
  await page.reload();
  await train(page);
  await toLimits(page);
  const cap = page.getByLabel("Data per day");
  await restsAndGoesOn(
    { page, coordinator },
    {
      hold: () => cap.fill("0"),
      lift: () => cap.fill("1"),
      sentence: "Today’s 50 MB of data are used up; more tomorrow.",
    },
  );
});

test("memory", LIMIT, async (t) => {
  // Weights, gradients and moments alone are more than the smallest cap.
  const edit = (text: string): string =>
    text
      .replace("hiddenSize: 32", "hiddenSize: 256")
      .replace("intermediateSize: 64", "intermediateSize: 704")
      .replace("numHiddenLayers: 1", "numHiddenLayers: 5")
      .replace("batchSequences: 8", "batchSequences: 1")
      .replace("innerSteps: 4", "innerSteps: 1");
  const training = await trainingWithLimits(t, { edit });
  const { page } = training;
  const cap = page.getByLabel("Memory");
  await restsAndGoesOn(training, {
    hold: () => cap.fill("0"),
    lift: () => cap.fill("7"),
    sentence: /Training this run needs about \d+ MB of memory; you allow 256 MB\./,
  });
});

const TOKENS_PER_STEP = 256;

/** How long the device needs for so many steps, by this process's clock; from update to update. */
async function timeOfSteps(coordinator: Coordinator, steps: number): Promise<number> {
  // The first one was begun before the slider was moved.
  await nextEvent(coordinator, "UpdateCommitted");
  const startedAt = performance.now();
  for (let done = 0; done < steps; ) {
    const event = await nextEvent(coordinator, "UpdateCommitted");
    if (event.type === "UpdateCommitted") done += event.update.tokens / TOKENS_PER_STEP;
  }
  return performance.now() - startedAt;
}

test("the slider: a tenth of the time is work, the rest is rest", LIMIT, async (t) => {
  const { page, coordinator } = await trainingWithLimits(t, { inThread: SIMULATED_CLOCK });
  const slider = page.getByLabel("How hard");
  await slider.fill("100");
  await page.getByText("full", { exact: true }).waitFor();
  const steps = 8;
  await tellClock(page, { tick: 10 });
  const full = await timeOfSteps(coordinator, steps);
  await slider.fill("10");
  await page.getByText("10 %").waitFor();
  const tenth = await timeOfSteps(coordinator, steps);
  // A step takes 10 ms at least by the simulated clock, so each is followed by 90 ms of rest.
  assert.ok(tenth >= steps * 90, `${steps} steps within ${tenth} ms`);
  assert.ok(full < tenth, `${full} ms at full power, ${tenth} ms at a tenth`);
});

test("heat: slow steps make it work less, then rest; later it comes back", LIMIT, async (t) => {
  const edit = (text: string): string => text.replace("innerSteps: 4", "innerSteps: 64");
  const training = await trainingWithLimits(t, { inThread: SIMULATED_CLOCK, edit });
  const { page, coordinator } = training;
  await page.getByLabel("How hard").fill("100");
  await tellClock(page, { tick: 5 });
  // Enough steps for a first reading of what this device does when it is cool.
  for (let steps = 0; steps < 128; steps += 64) await nextEvent(coordinator, "UpdateCommitted");
  await restsAndGoesOn(training, {
    hold: async () => {
      await tellClock(page, { tick: 10 });
      await page.getByText("It works less for now: its steps have become slow").waitFor();
    },
    lift: async () => {
      await tellClock(page, { tick: 5, skip: HEAT_REST_MS });
      // Slowly at first.
      await page.getByText("It works less for now").waitFor();
    },
    sentence: "The steps have become slow: the device is probably hot, or busy.",
  });
});

const WAKE_LOCKS = `
  globalThis.awake = 0;
  const request = async () => {
    awake += 1;
    const lock = new EventTarget();
    return Object.assign(lock, {
      release: async () => {
        awake -= 1;
        lock.dispatchEvent(new Event("release"));
      },
    });
  };
  Object.defineProperty(navigator, "wakeLock", { value: { request } });
`;

/** Playwright's own way to wait would need eval, which the page forbids. */
async function untilAwake(page: Page, locks: number): Promise<void> {
  while ((await page.evaluate("awake")) !== locks) await page.waitForTimeout(50);
}

test(
  "the screen is kept on only if that is asked for, and only while it trains",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, DIST);
    const person = await newPerson(t, browser);
    await person.addInitScript(SIMULATED_DEVICE);
    await person.addInitScript(WAKE_LOCKS);
    const { page } = await openTab(t, person, coordinator.joinUrl);
    await train(page);
    await toLimits(page);
    await page.getByText(FREE).waitFor();
    assert.equal(await page.evaluate("awake"), 0, "nobody has asked for it");
    await page.getByRole("switch", { name: "Keep the screen on while training" }).check();
    await untilAwake(page, 1);
    await meet(page, { charging: false });
    await page.getByText("Resting until the device is charging.").waitFor();
    await untilAwake(page, 0);
  },
);
