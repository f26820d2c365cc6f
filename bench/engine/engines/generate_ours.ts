// Our generator, as one of the benchmark: greedy, with cached keys and values, from an exported
// folder. The line protocol of child.ts; a step is one text, its "loss" a fingerprint of its ids.
import { createInterface } from "node:readline";
import { readExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { createGenerator } from "@manyhands/engine/generate/generator";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import type { GenerationJob } from "../models.ts";

type Model = {
  readonly job: GenerationJob;
  readonly weights: Float32Array;
  readonly generator: Awaited<ReturnType<typeof createGenerator>>;
};

let model: Model | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line) as { init?: GenerationJob; steps?: number };
  if (message.init) model = await load(message.init);
  if (!model) throw new Error("init comes first");
  const ms: number[] = [];
  const losses: number[] = [];
  for (let i = 0; i < (message.steps ?? 1); i++) {
    const start = performance.now();
    losses.push(fingerprint(await generated(model)));
    ms.push(performance.now() - start);
  }
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  process.stdout.write(`${JSON.stringify({ ms, losses, peakMiB, version: process.version })}\n`);
}
process.exit(0);

async function load(job: GenerationJob): Promise<Model> {
  const { config, weights } = await readExportFolder(job.folder);
  const generator = await createGenerator({
    runtime: ortNode,
    model: config,
    threads: job.threads,
  });
  return { job, weights, generator };
}

async function generated({ job, weights, generator }: Model): Promise<readonly number[]> {
  const { prompt, count: tokenCountMax } = job;
  const ids: number[] = [];
  const options = { weights, prompt, tokenCountMax, seed: 1, temperature: 0 };
  for await (const id of generator.generate(options)) ids.push(id);
  return ids;
}

function fingerprint(ids: readonly number[]): number {
  return ids.reduce((sum, id, place) => sum + (place + 1) * (id + 1), 0);
}
