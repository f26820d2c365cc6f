// What opening the page costs, and what it needs of the world: bytes of a first visit, nobody but
// its coordinator, an app that can be installed, a page that works while the coordinator is away.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { hostTiny, startChromium } from "../browser/bare-site.ts";
import { cableTo } from "./cable.ts";
import { DIST, newPerson, nextEvent, openTab, train } from "./real-page.ts";

const LIMIT = { timeout: 120_000 };
/** With headers, the run's description, and the first answers about it. */
const FIRST_LOAD_BYTES_MAX = 250_000;
/** And what the service worker loads behind it. */
const FIRST_VISIT_BYTES_MAX = 300_000;

let browser: Browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

test("a first visit loads at most 250 kB until the device is offered", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST);
  const loaded = async (browserOptions: BrowserContextOptions): Promise<number> => {
    const cable = await cableTo(t, coordinator);
    const person = await newPerson(t, browser, browserOptions);
    const { page } = await openTab(t, person, cable.link);
    await page.getByText("This device fits.").waitFor();
    if (browserOptions.serviceWorkers !== "block") {
      await page.evaluate("navigator.serviceWorker.ready");
    }
    return cable.bytes();
  };
  const first = await loaded({ serviceWorkers: "block" });
  const kept = await loaded({});
  t.diagnostic(`${first} bytes; ${kept} with all that is kept for when the coordinator is away`);
  assert.ok(first > 100_000, "they were counted");
  assert.ok(first <= FIRST_LOAD_BYTES_MAX, `${first} bytes`);
  assert.ok(kept <= FIRST_VISIT_BYTES_MAX, `${kept} bytes`);
});

test(
  "it asks nobody but its coordinator, and the runtime's bytes are fetched once",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, DIST);
    const person = await newPerson(t, browser);
    const strangers: string[] = [];
    const runtimes: string[] = [];
    person.on("request", (request) => {
      const { origin, pathname } = new URL(request.url());
      if (origin !== coordinator.url && origin !== "null") strangers.push(request.url());
      if (pathname.endsWith(".wasm")) runtimes.push(pathname);
    });
    const { page } = await openTab(t, person, coordinator.joinUrl);
    await train(page);
    await page.getByRole("link", { name: "Model" }).click();
    await page.getByRole("button", { name: "Write" }).click();
    await page.getByText("Its weights have the root that the log names.").waitFor();
    await page.reload();
    await page.getByRole("link", { name: "Contribute" }).click();
    await nextEvent(coordinator, "UpdateCommitted");
    assert.deepEqual(strangers, []);
    assert.equal(runtimes.length, 1, runtimes.join());
  },
);

test("it can be installed", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST);
  const person = await newPerson(t, browser);
  const { page } = await openTab(t, person, coordinator.joinUrl);
  await page.evaluate("navigator.serviceWorker.ready");
  const session = await person.newCDPSession(page);
  const { errors } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  assert.deepEqual(
    // A window without history cannot install; a person's can.
    installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito"),
    [],
  );
});

test(
  "opened while the coordinator is away: it says so, and goes on when it is back",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, DIST);
    const person = await newPerson(t, browser);
    const { page } = await openTab(t, person, coordinator.joinUrl);
    await page.evaluate("navigator.serviceWorker.ready");
    await train(page);
    await coordinator.close();
    await page.reload();
    await page.getByText("The coordinator does not answer").first().waitFor();
    await page.getByText(/Is the computer that hosts the run on/).waitFor();
    await page.getByRole("link", { name: "Watch" }).click();
    await page.getByText("The coordinator does not answer").first().waitFor();
    await page.getByRole("link", { name: "Contribute" }).click();
    const again = await coordinator.restart();
    await nextEvent(again, "UpdateCommitted");
    await page.getByText("The coordinator does not answer").waitFor({ state: "detached" });
  },
);
