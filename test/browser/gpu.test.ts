// WebGPU in a browser, on a processor that plays the GPU: it trains and is credited, and where one
// submission would hold the GPU for too long, it computes fewer sequences at once. Function only:
// the times are those of a processor.
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { buildBarePage, hostTiny, newPerson, startChromium } from "./bare-site.ts";
import { look, oneMoreUpdate, open, start } from "./person.ts";

const LIMIT = { timeout: 180_000 };

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

test("a small run is trained with the whole batch at once, and credited", LIMIT, async (t) => {
  const coordinator = await hostTiny(t, folder, { innerSteps: 2 });
  const page = await open(await newPerson(t, browser), coordinator, "?compute=gpu");
  const { offer } = await look(page, coordinator);
  assert.equal(offer?.compute, "gpu");
  await start(page, coordinator);
  const { workerId, firstUpdateMs, gpu } = await oneMoreUpdate(page);
  t.diagnostic(`first accepted update: ${firstUpdateMs} ms`);
  assert.equal(gpu, null, "nothing is drawn by this GPU: nothing was tried");
  const status = coordinator.status().workers.find((it) => it.workerId === workerId);
  assert.equal(status?.numerics, "ort-webgpu");
});

test(
  "its longest submission is measured first; too long, and it computes in pieces",
  LIMIT,
  async (t) => {
    const edit = (text: string): string => text.replace("batchSequences: 8", "batchSequences: 2");
    const coordinator = await hostTiny(t, folder, { innerSteps: 1, edit });
    const page = await open(await newPerson(t, browser), coordinator, "?compute=gpu&tries");
    await start(page, coordinator);
    const { gpu, workerId } = await oneMoreUpdate(page);
    t.diagnostic(JSON.stringify(gpu));
    assert.ok(gpu && gpu.ms > 0, "its submissions were followed");
    assert.ok(2 % gpu.microBatch === 0 && (gpu.ms <= 100 || gpu.microBatch === 1));
    const status = coordinator.status().workers.find((it) => it.workerId === workerId);
    assert.equal(status?.numerics, "ort-webgpu");
  },
);
