// A coordinator that serves the bare page of the worker package, bundled here, beside the runtime's
// own files. For tests: the real page is built by apps/web.
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { CreateRun } from "@manyhands/coordinator/open-run";
import { type Coordinator, startCoordinator } from "@manyhands/coordinator/serve";
import { build } from "esbuild";
import { prepareRun } from "manyhands/run-file/freeze";
import { loadRunFile } from "manyhands/run-file/load-run-file";
import { type Browser, type BrowserContext, chromium } from "playwright-core";

const ROOT = join(import.meta.dirname, "../..");
const SOURCES = join(ROOT, "packages/worker/src/browser/testing");
const RUNTIME = join(ROOT, "node_modules/onnxruntime-web/dist");
const RUNTIME_FILES = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"];

const HTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Bare</title>
<script type="module" src="/assets/bare-page.js"></script>
</html>
`;

/** The folder of the bare page; built once for all tests of a file. */
export async function buildBarePage(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-page-"));
  const assets = join(folder, "assets");
  await mkdir(assets);
  await build({
    entryPoints: [join(SOURCES, "bare-page.ts"), join(SOURCES, "bare-thread.ts")],
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2024",
    platform: "browser",
    outdir: assets,
    logLevel: "error",
  });
  for (const name of RUNTIME_FILES) {
    await cp(join(RUNTIME, `${name}.mjs`), join(assets, `${name}.mjs`));
    await cp(join(RUNTIME, `${name}.wasm`), join(assets, `${name}.wasm`));
  }
  await writeFile(join(folder, "index.html"), HTML);
  return folder;
}

/** One worker is enough for a round here, and rounds are short. */
const RUN_FILE = `
name: tiny
model:
  vocabSize: 256
  hiddenSize: 32
  intermediateSize: 64
  numHiddenLayers: 1
  numAttentionHeads: 2
  numKeyValueHeads: 1
  maxPositionEmbeddings: 32
tokenizer: bytes
data:
  files: [corpus.txt]
  validation: 0.1
recipe:
  learningRate: 0.02
  contextLength: 32
  batchSequences: 8
  innerSteps: STEPS
rounds:
  workersMin: 1
  wait: 5s
budget:
  tokens: 500000000
seed: 7
license: CC0-1.0
`;

/** The tiny run, or what an edit of its file makes of it; file and data are written to a folder. */
export async function tinyRun(folder: string, edit: (text: string) => string): Promise<CreateRun> {
  const text = "the quick brown fox jumps over the lazy dog. ".repeat(700);
  await writeFile(join(folder, "corpus.txt"), text);
  await writeFile(join(folder, "run.yaml"), edit(RUN_FILE).replace("STEPS", "4"));
  const prepared = prepareRun(await loadRunFile(join(folder, "run.yaml")));
  return { run: prepared.run, weights: prepared.initialWeights, files: prepared.files };
}

/** A run that goes on for as long as the test. */
export async function hostTiny(
  t: TestContext,
  page: string,
  { innerSteps = 4, port = 0, edit = (text: string) => text } = {},
): Promise<Coordinator & { restart(): Promise<Coordinator> }> {
  const folder = await mkdtemp(join(tmpdir(), "manyhands-browser-"));
  const create = await tinyRun(folder, (text) => edit(text.replace("STEPS", String(innerSteps))));
  const begin = (at: number): Promise<Coordinator> =>
    startCoordinator({ runFolder: join(folder, "out"), create, page, port: at });
  let current = await begin(port);
  t.after(async () => {
    await current.close();
    await rm(folder, { recursive: true, force: true });
  });
  const restart = async (): Promise<Coordinator> => {
    await current.close();
    current = await begin(Number(new URL(current.url).port));
    return current;
  };
  return { ...current, restart };
}

const QUIET = [
  "--no-sandbox",
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

export function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [...QUIET, ...SOFTWARE_GPU],
  });
}

/** A person's browser of its own: storage that no other test sees. */
export async function newPerson(t: TestContext, browser: Browser): Promise<BrowserContext> {
  const person = await browser.newContext();
  t.after(() => person.close());
  return person;
}
