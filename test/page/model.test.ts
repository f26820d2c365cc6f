// The model, tried in the page while the run goes on: it writes as it thinks, stops when it is told
// to, and two states of the run write side by side, each with weights that the log names.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { writeTinyModel } from "manyhands/testing/tiny-model";
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

const TOKENIZER = join(import.meta.dirname, "../../vectors/engine/tokenizers/qwen.json");

/** The tiny run, as one that trains adapters of a tiny model with a tokenizer of its own. */
async function tunedRun(t: TestContext): Promise<(text: string) => string> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-model-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { tokenizer } = JSON.parse(await readFile(TOKENIZER, "utf8"));
  const model = join(folder, "model");
  writeTinyModel(model, { tokenizer: { json: JSON.stringify(tokenizer), vocabSize: 1_024 } });
  process.env["MANYHANDS_CACHE"] = join(folder, "bases");
  const named = `model: ${model}\nmethod: lora\nlora: { r: 4, loraAlpha: 8, base: q4 }\n`;
  return (text) =>
    text
      .replace(/model:[\s\S]*?(?=tokenizer:)/, named)
      .replace("recipe:\n", "recipe:\n  optimizer: adamw\n");
}

test("adapters write over their base, which training fetched; two rounds", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, DIST, { edit: await tunedRun(t) });
  const { tuning, tokenizer } = coordinator.state().run;
  assert.equal(tokenizer, "ids");
  const { page } = await openTab(t, await newPerson(t, browser), coordinator.joinUrl);
  const fetched: string[] = [];
  page.on("request", (request) => fetched.push(request.url()));
  await train(page);
  await nextEvent(coordinator, "RoundClosed");
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("Paused by you.").waitFor();

  await page.getByRole("link", { name: "Model" }).click();
  await page.getByRole("switch", { name: "Compare two rounds" }).check();
  await page.getByText("100 tokens").or(page.getByText("400 tokens")).waitFor();
  await page.getByLabel("Length").fill("100");
  await page.getByLabel("How should it begin?").fill("the quick brown");
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByText(VERIFIED).nth(1).waitFor();
  const stories = page.locator(".story[aria-busy=false]");
  await stories.nth(1).waitFor();
  const [newest = "", first = ""] = await stories.allTextContents();
  for (const text of [newest, first]) assert.match(text, /^the quick brown.{20}/s);
  assert.notEqual(newest, first, "the run has changed the model");
  const root = tuning?.method === "lora" ? tuning.base.root : "";
  const asked = fetched.filter((url) => url.includes(root)).length;
  assert.equal(asked, 1, `the base was fetched ${asked} times`);

  await page.getByRole("switch", { name: "Compare two rounds" }).uncheck();
  await page.getByLabel("Length").fill("2000");
  await page.getByRole("button", { name: "Write" }).click();
  await page.locator(".story[aria-busy=true]", { hasText: /.{60}/s }).waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByRole("button", { name: "Write" }).waitFor();
});

test(
  "a phone that is too small for the model is told before anything is fetched",
  LIMIT,
  async (t) => {
    const coordinator = await hostTiny(t, DIST, { edit: await tunedRun(t) });
    const person = await newPerson(t, browser);
    await person.addInitScript(() => {
      Object.defineProperty(navigator, "deviceMemory", { get: () => 0.25 });
    });
    const { page } = await openTab(t, person, coordinator.joinUrl);
    const fetched: string[] = [];
    page.on("request", (request) => fetched.push(request.url()));
    await page.getByRole("link", { name: "Model" }).click();
    await page.getByText("This device is too small for this model").waitFor();
    await page
      .getByText(/about 9[\d.]*\sMB of memory; this page may take about 67[\d.]*\sMB/)
      .waitFor();
    assert.ok(await page.getByRole("button", { name: "Write" }).isDisabled());
    assert.deepEqual(
      fetched.filter((url) => /blobs|\.wasm/.test(url)),
      [],
    );
  },
);
