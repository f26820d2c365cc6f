// The page for real: `manyhands up`, a tab as wide as a desktop that trains on WebGPU (a processor
// plays it), one as wide as a phone on WebAssembly, and a Node worker train one run to its end.
// Then the page checks the whole log, and writes with the model that they made.
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { Process } from "../process.ts";
import { plainEnvironment, tinyRun } from "./tiny-run.ts";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];
const LIMIT = { timeout: 480_000 };
const PATIENCE_MS = 240_000;
/** From 5.5 of a guess; what the tiny model reaches with this budget, with room. */
const TARGET_LOSS = 3.6;
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
};
const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };

let browser: Browser;
before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});
after(() => browser.close());

/** A browser of its own on the run's link. Anything that breaks on the page fails the test. */
async function openTab(
  t: TestContext,
  link: string,
  { look, compute }: { readonly look: BrowserContextOptions; readonly compute: string },
): Promise<{ readonly page: Page; readonly problems: readonly string[] }> {
  const person = await browser.newContext(look);
  t.after(() => person.close());
  const page = await person.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy/.test(message.text())) problems.push(message.text());
  });
  await page.goto(link.replace("#", `?compute=${compute}#`));
  return { page, problems };
}

async function train(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^(Train with this device|Try it)$/ }).click();
  await page.getByRole("button", { name: "Finish this round, then stop" }).waitFor();
}

test("two tabs and a Node worker train one run to its target loss", LIMIT, async (t) => {
  // Each round waits for all three: a processor that plays a GPU is slow.
  const folder = await tinyRun(t, 60_000, "  workersMin: 3\n  quorum: 1\n  longest: 2m");
  const out = join(folder, "out");
  const environment = plainEnvironment();
  const start = (args: readonly string[]): Process => {
    const started = new Process(args, { environment });
    t.after(() => (started.running ? started.kill() : undefined));
    return started;
  };
  const up = start(["up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out]);
  const [, link = ""] = await up.says(/npx \S+ join '(\S+)'/);

  const phone = await openTab(t, link, { look: PHONE, compute: "wasm" });
  const desktop = await openTab(t, link, { look: DESKTOP, compute: "gpu" });
  await train(phone.page);
  await train(desktop.page);
  const node = start(["join", link, "--folder", join(folder, "ada"), "--name", "ada"]);

  equal((await up.exit).code, 0, up.output);
  equal((await node.exit).code, 0, node.output);
  const summary = JSON.parse(await readFile(join(out, "summary.json"), "utf8"));
  ok(summary.valLoss < TARGET_LOSS, `validation loss ${summary.valLoss}`);
  const credited = summary.workers as readonly { tokens: number; updates: number }[];
  equal(credited.length, 3);
  ok(credited.every(({ tokens, updates }) => tokens > 0 && updates > 0));
  for (const { page, problems } of [phone, desktop]) {
    await page.getByText(/You gave [\d.]+k? tokens in \d+ updates?\./).waitFor();
    deepEqual(problems, []);
  }
});

test("the page checks the log of a run, and writes with its model", LIMIT, async (t) => {
  const folder = await tinyRun(t, 20_000, "  workersMin: 1");
  const out = join(folder, "out");
  const environment = plainEnvironment();
  const up = new Process(
    ["up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out, "--minutes", "30"],
    { environment },
  );
  t.after(() => (up.running ? up.kill() : undefined));
  const [, link = ""] = await up.says(/npx \S+ join '(\S+)'/);
  const { page, problems } = await openTab(t, link, { look: PHONE, compute: "wasm" });
  await train(page);
  await page.getByText("First update after").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("Paused by you.").waitFor();

  await page.getByRole("link", { name: "Ledger" }).click();
  await page.getByRole("button", { name: "Check the whole log" }).click();
  await page.getByText("The log is sound").waitFor();
  await page.getByText(/\d+ rows? and \d+ rounds? followed, \d+ signatures? verified/).waitFor();

  await page.getByRole("link", { name: "Model" }).click();
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByText("Its weights have the root that the log names.").waitFor();
  const story = page.locator(".story[aria-busy=false]");
  await story.waitFor();
  ok(((await story.textContent()) ?? "").length > 200, "it wrote 400 characters");
  deepEqual(problems, []);
});
