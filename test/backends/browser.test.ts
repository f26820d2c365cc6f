// The contract in a headless Chromium: WASM with one thread and with several, WebGPU; and the
// referee's bits.
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { REFEREE_RUNS } from "@manyhands/engine/runtime/referee.contract";
import { contractOf, type Subject } from "@manyhands/engine/runtime/runtime.contract";
import { type Browser, chromium, type Page } from "playwright-core";
import type { BrowserBackend, CheckResult, PageApi } from "./page.ts";
import { type Site, startSite } from "./site.ts";
import { readTruth, runsOnWebGpu } from "./truth.ts";

const QUIET = [
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const SOFTWARE_GPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];

declare const api: PageApi;

let browser: Browser;
let plainSite: Site;
let isolatedSite: Site;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...QUIET, ...SOFTWARE_GPU],
  });
  plainSite = await startSite(false);
  isolatedSite = await startSite(true);
});

after(async () => {
  await browser.close();
  await plainSite.close();
  await isolatedSite.close();
});

async function open(site: Site): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.goto(site.url);
  await page.waitForFunction("globalThis.api !== undefined");
  return page;
}

/** Runs the checks one by one in a page of their own; every one is a subtest here. */
async function runContract(t: TestContext, site: Site, backend: BrowserBackend): Promise<void> {
  const page = await open(site);
  const isolated = await page.evaluate(() => api.isolated);
  assert.equal(isolated, site === isolatedSite, "whether the page is cross-origin isolated");
  const named: Subject = { runtime: { compile: refuse, compileStateful: refuse } };
  const titles = contractOf(named, readTruth())
    .map(({ title }) => title)
    .filter((title) => backend !== "webgpu" || runsOnWebGpu(title));
  const results: CheckResult[] = await page.evaluate(
    ([name, chosen]) => api.runContract(name, chosen),
    [backend, titles] as const,
  );
  assert.deepEqual(
    results.map(({ title }) => title),
    titles,
    "every check ran",
  );
  for (const { title, error } of results) {
    await t.test(title, () => assert.equal(error, undefined));
  }
  await page.close();
}

function refuse(): never {
  throw new assert.AssertionError({ message: "it only gives the checks their titles" });
}

test("Chromium, WASM with one thread, in a page that is not isolated", (t) =>
  runContract(t, plainSite, "wasm"));

test("Chromium, WASM with threads, in a cross-origin isolated page", (t) =>
  runContract(t, isolatedSite, "wasm threads"));

test("Chromium, WebGPU, with every node on the GPU", (t) => runContract(t, plainSite, "webgpu"));

test("a page's probe finds what works, and remembers it", async () => {
  const page = await open(isolatedSite);
  const report = await page.evaluate(() => api.probe());
  assert.equal(report.backends["wasm-threads"]?.status, "works");
  assert.equal(report.backends.webgpu?.status, "works");
  assert(report.best && report.memoryBytesMax > 0);
  await page.reload();
  await page.waitForFunction("globalThis.api !== undefined");
  assert.deepEqual(await page.evaluate(() => api.probe()), report);
  await page.close();
});

test("the referee gives Chromium the bits that it gives Node", async () => {
  const page = await open(plainSite);
  const hashes = await page.evaluate(() => api.refereeHashes());
  const pinned = REFEREE_RUNS.map(({ name, weightsHash }) => [name, weightsHash]);
  assert.deepEqual(hashes, Object.fromEntries(pinned));
  await page.close();
});
