// Our engine, as an engine of the benchmark. Usage: ours.ts operations|sequences: what its threads
// share.
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createTrainer, type Trainer } from "@manyhands/engine/train/trainer";
import type { Job } from "../models.ts";
import { bytesOf, serve } from "./serve.ts";

let trainer: Trainer | undefined;
let batches: readonly Int32Array[] = [];
let count = 0;

async function init(job: Job): Promise<string> {
  const { sequences, contextLength, threads } = job;
  const batch = { sequences, contextLength };
  const sharing = process.argv[2] === "sequences" ? "sequences" : "operations";
  const { config: model, optimizer } = job;
  const device = { runtime: ortNode, threads, sharing } as const;
  trainer = await createTrainer({ ...device, model, optimizer, batch });
  trainer.weights.set(new Float32Array(bytesOf(job.weightsFile)));
  const tokens = new Int32Array(bytesOf(job.tokensFile));
  const size = sequences * (contextLength + 1);
  batches = Array.from({ length: tokens.length / size }, (_unused, i) =>
    tokens.subarray(i * size, (i + 1) * size),
  );
  return process.version;
}

async function step(): Promise<number> {
  const batch = batches[count % batches.length];
  if (!trainer || !batch) throw new Error("init comes first");
  count += 1;
  return (await trainer.step(batch)).loss;
}

await serve({ init, step });
process.exit(0);
