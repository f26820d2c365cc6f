// Our engine, as an engine of the benchmark. Usage: ours.ts team|session. A team is a session per
// thread, each with its share of the batch; one session has its threads within operations.
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
  const { startThread: _, ...session } = ortNode;
  const runtime = process.argv[2] === "session" ? session : ortNode;
  const { config: model, optimizer } = job;
  trainer = await createTrainer({ runtime, model, optimizer, batch, threads });
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
