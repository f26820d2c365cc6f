// A run that trains adapters, in a real Chromium: the page fetches the frozen base once, keeps it,
// trains over it on WASM and on WebGPU, and is credited.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Device } from "@manyhands/worker/browser/device-view";
import { writeTinyModel } from "manyhands/testing/tiny-model";
import type { Browser } from "playwright-core";
import { buildBarePage, hostTiny, newPerson, startChromium } from "./bare-site.ts";
import { creditOf, look, oneMoreUpdate, open, start } from "./person.ts";

declare const device: Device;

const LIMIT = { timeout: 120_000 };

let browser: Browser;
let folder: string;
let model: string;

before(async () => {
  folder = await buildBarePage();
  model = await mkdtemp(join(tmpdir(), "manyhands-model-"));
  writeTinyModel(model);
  process.env["MANYHANDS_CACHE"] = join(model, "bases");
  browser = await startChromium();
});

after(async () => {
  await browser.close();
  for (const made of [folder, model]) await rm(made, { recursive: true, force: true });
});

/** The tiny run, as one that trains adapters of a tiny model. */
function tuned(text: string): string {
  const named = `model: ${model}\nmethod: lora\nlora: { r: 4, loraAlpha: 8, base: q4 }\n`;
  const file = text.replace(/model:[\s\S]*?(?=tokenizer:)/, named);
  return file.replace("recipe:\n", "recipe:\n  optimizer: adamw\n");
}

for (const compute of ["wasm", "gpu"] as const) {
  test(`${compute}: adapters are trained over a base that is fetched once`, LIMIT, async (t) => {
    const coordinator = await hostTiny(t, folder, { edit: tuned });
    const { tuning, dataset } = coordinator.state().run;
    assert.equal(tuning?.method, "lora");
    const base = tuning.method === "lora" ? tuning.base : { root: "", byteLength: 0 };
    const person = await newPerson(t, browser);
    const query = `?compute=${compute}`;
    const page = await open(person, coordinator, query);
    const fetched: string[] = [];
    page.on("request", (request) => fetched.push(request.url()));
    const { offer } = await look(page, coordinator);
    const data = dataset.files.reduce((sum, { byteLength }) => sum + byteLength, 0);
    assert.equal(offer?.dataBytes, data + base.byteLength);
    assert.equal(offer.fit, "fits");
    await start(page, coordinator);
    const view = await oneMoreUpdate(page);
    assert.ok(view.tokens >= 1_024);
    const id = view.workerId;
    assert.ok(creditOf(coordinator, id) >= 1_024);
    const status = coordinator.status().workers.find((it) => it.workerId === id);
    assert.equal(status?.numerics, compute === "gpu" ? "ort-webgpu" : "ort-wasm");
    // The second visit has the base, the data and the runtime already.
    await page.evaluate(() => device.finish());
    const again = await open(person, coordinator, query);
    const { offer: second } = await look(again, coordinator);
    assert.ok((second?.keptBytes ?? 0) >= data + base.byteLength);
    const bases = fetched.filter((url) => url.includes(base.root));
    assert.ok(bases.length <= 1, `the base was asked for ${bases.length} times`);
  });
}
