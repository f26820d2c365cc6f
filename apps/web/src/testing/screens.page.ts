// The built page in Chromium: every screen accessible and inside its policy, small enough to load,
// smooth on a long run, and usable by keyboard. Run by `npm run test:page`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { SHOTS, type Shot } from "./shots.ts";
import { type Look, Stage } from "./stage.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LOOKS: readonly Look[] = [
  { size: "phone", theme: "light" },
  { size: "phone", theme: "dark" },
  { size: "desktop", theme: "light" },
];
const FIRST_LOAD_BYTES_MAX = 250_000;
/** However long the run: rows beyond the view are not in the page. */
const ELEMENTS_MAX = 3_000;

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage.close());

type AxeFinding = {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
};

/** Findings of axe-core that are serious or worse, as text. */
async function seriousFindings(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  const found = (await page.evaluate(
    "axe.run(document).then(({ violations, passes }) => ({ violations, passes: passes.length }))",
  )) as { readonly violations: readonly AxeFinding[]; readonly passes: number };
  assert(found.passes > 10, "axe-core looked at the page");
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
}

function shotOf(name: string): Shot {
  const shot = SHOTS.find((one) => one.name === name);
  assert(shot, name);
  return shot;
}

for (const shot of SHOTS) {
  test(`${shot.name}: no serious finding, no error, nothing from elsewhere`, async () => {
    for (const look of LOOKS) {
      const page = await stage.page(shot, look);
      const problems: string[] = [];
      const strangers: string[] = [];
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        if (/Content Security Policy/.test(message.text())) problems.push(message.text());
      });
      page.on("request", (request) => {
        const url = request.url();
        if (!url.startsWith(stage.server.url) && !/^(?:blob|data):/.test(url)) strangers.push(url);
      });
      await stage.show(page, shot);
      assert.deepEqual(await seriousFindings(page), [], `${look.size} ${look.theme}`);
      assert.deepEqual(problems, []);
      assert.deepEqual(strangers, []);
      const wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      assert(Number(wide) <= 0, `${look.size}: nothing is wider than the screen`);
      await page.context().close();
    }
  });
}

for (const name of ["contribute-ready", "contribute-paying"]) {
  test(`${name}: the first load, without the runtime, is at most 250 kB compressed`, async (t) => {
    const shot = shotOf(name);
    const page = await stage.page(shot, { size: "phone", theme: "light" });
    const sizes = new Map<string, number>();
    page.on("response", async (response) => {
      const { pathname } = new URL(response.url());
      if (!/\.(?:js|css|html|svg|png|webmanifest)$|^\/runs\/\w+$/.test(pathname)) return;
      sizes.set(pathname, gzipSync(await response.body()).length);
    });
    await stage.show(page, shot);
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    t.diagnostic(`${total} bytes`);
    assert(sizes.size > 3 && total > 50_000, "the files were counted");
    assert(total <= FIRST_LOAD_BYTES_MAX, `${total} B: ${JSON.stringify([...sizes])}`);
    await page.context().close();
  });
}

test("10 000 rounds and 1 000 devices: all told, few elements, no row missing at the end", async () => {
  const shot = shotOf("watch-long");
  const page = await stage.page(shot, { size: "desktop", theme: "light" });
  await stage.show(page, shot);
  await page.getByText("10\u202f000 rounds").first().waitFor();
  const rounds = page.getByRole("region", { name: "Rounds" }).last();
  await rounds.getByText("Round 9\u202f999").waitFor();
  await rounds.evaluate((list) => list.scrollTo(0, list.scrollHeight));
  await rounds.getByText("Round 0", { exact: true }).waitFor();
  const count = Number(await page.evaluate("document.querySelectorAll('*').length"));
  assert(count < ELEMENTS_MAX, `${count} elements`);
  await page.context().close();
});

test("by keyboard alone: to the button, and the device is asked to start", async () => {
  const shot = shotOf("contribute-ready");
  const page = await stage.page(shot, { size: "desktop", theme: "light" });
  await stage.show(page, shot);
  const button = page.getByRole("button", { name: "Train with this device" });
  for (let presses = 0; presses < 30; presses++) {
    if (await button.evaluate((element) => element === document.activeElement)) break;
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  assert.deepEqual(await page.evaluate("window.asked"), ["start Grace @Loom"]);
  await page.context().close();
});

test("every limit reaches the device, and comes back from it", async () => {
  const shot = shotOf("limits");
  const page = await stage.page(shot, { size: "phone", theme: "light" });
  await stage.show(page, shot);
  const asked = async (): Promise<number> => Number(await page.evaluate("window.asked.length"));
  const switches = page.getByRole("switch");
  const count = await switches.count();
  assert.equal(count, 5);
  for (let at = 0; at < count; at++) {
    const before = await switches.nth(at).isChecked();
    await switches.nth(at).click();
    assert.equal(await switches.nth(at).isChecked(), !before);
  }
  assert.equal(await asked(), count);
  await page.getByLabel("From").fill("21:30");
  await page.getByLabel("How hard").fill("40");
  await page.getByText("40 %").waitFor();
  await page.getByLabel("Data per day").fill("8");
  await page.getByText("no cap").first().waitFor();
  await page.getByLabel("Memory").fill("0");
  await page.getByText("256\u202fMB").waitFor();
  assert.equal(await asked(), count + 4);
  await page.getByRole("button", { name: "Back to the defaults" }).click();
  await page.getByText("70 %").waitFor();
  await page.context().close();
});

test("what a person asks of a device at work reaches it", async () => {
  const shot = shotOf("contribute-live");
  const page = await stage.page(shot, { size: "phone", theme: "light" });
  await stage.show(page, shot);
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await page.getByRole("button", { name: "Finish this round, then stop" }).click();
  await page.getByRole("button", { name: "Leave the run" }).click();
  await page.getByRole("button", { name: "Leave", exact: true }).click();
  assert.deepEqual(await page.evaluate("window.asked"), ["pause", "finish", "leave"]);
  await page.context().close();
});
