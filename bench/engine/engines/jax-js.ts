// jax-js with its WASM backend in Node, as an engine of the benchmark. Installed by engines.ts.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Job } from "../models.ts";
import { initJax, type Jax, stepJax } from "./jax-llama.ts";
import { bytesOf, serve } from "./serve.ts";
import { webWorkers } from "./web-workers.ts";

async function init(job: Job): Promise<string> {
  if (job.threads > 1) webWorkers(job.threads);
  const require = createRequire(resolve(".cache/bench-engine/package.json"));
  const folder = resolve(".cache/bench-engine/node_modules/@jax-js/jax");
  const jax = (await import(pathToFileURL(`${folder}/dist/index.js`).href)) as Jax;
  const weights = new Float32Array(bytesOf(job.weightsFile));
  await initJax(jax, job, { weights, tokens: new Int32Array(bytesOf(job.tokensFile)) });
  return (require(`${folder}/package.json`) as { version: string }).version;
}

await serve({ init, step: stepJax });
process.exit(0);
