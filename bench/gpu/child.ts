// The benchmark's child processes: an engine of ours, the peak of matrix products, or only the
// question whether there is a GPU. One process each, since a runtime that fails may end it.
import * as ir from "@manyhands/engine/ir/ops";
import { type Graph, graphOf } from "@manyhands/engine/ir/tensor";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { ortNodeWebGpu } from "@manyhands/engine/runtime/ort-node-webgpu";
import { createDeviceTrainer } from "@manyhands/engine/train/device-trainer";
import { createTrainer } from "@manyhands/engine/train/trainer";
import { bytesOf, type ServedEngine, serve } from "../engine/engines/serve.ts";
import type { Job } from "../engine/models.ts";

export type Peak = { readonly side: number; readonly tflops: number };

type Step = (tokens: Int32Array) => Promise<{ readonly loss: number }>;

async function stepper(kind: "webgpu" | "cpu", job: Job): Promise<Step> {
  const { config: model, optimizer, sequences, contextLength, threads } = job;
  const batch = { sequences, contextLength };
  const weights = new Float32Array(bytesOf(job.weightsFile));
  if (kind === "webgpu") {
    const trainer = await createDeviceTrainer({ runtime: ortNodeWebGpu, model, optimizer, batch });
    await trainer.loadWeights(weights);
    return (tokens) => trainer.step(tokens);
  }
  const trainer = await createTrainer({ runtime: ortNode, model, optimizer, batch, threads });
  trainer.weights.set(weights);
  return (tokens) => trainer.step(tokens);
}

/** Answers the line protocol of bench/engine. */
export async function serveEngine(kind: "webgpu" | "cpu"): Promise<void> {
  let step: Step | undefined;
  let tokens = new Int32Array(0);
  let size = 0;
  let count = 0;
  const engine: ServedEngine = {
    async init(job) {
      step = await stepper(kind, job);
      tokens = new Int32Array(bytesOf(job.tokensFile));
      size = job.sequences * (job.contextLength + 1);
      return process.version;
    },
    async step() {
      if (step === undefined) throw new Error("init comes first");
      const start = (count * size) % tokens.length;
      count += 1;
      return (await step(tokens.subarray(start, start + size))).loss;
    },
  };
  await serve(engine);
}

const PRODUCTS = 8;
const REPETITIONS = 3;
const SLOW_MS = 5000;

/** state ← state · state / n, PRODUCTS times. All ones stay all ones. */
function chain(side: number): Graph {
  const state = ir.input("state", [side, side]);
  let x = state;
  for (let i = 0; i < PRODUCTS; i++) x = ir.matmul(x, state, { scale: 1 / side });
  return graphOf({ next: x, sum: ir.reduceSum(x, [0, 1]) });
}

/** Prints one line of JSON per size; the runs of a size are as good as its best. */
export async function measurePeaks(sides: readonly number[]): Promise<void> {
  for (const side of sides) {
    const carried = [{ output: "next", input: "state" }];
    const executable = await ortNodeWebGpu.compileStateful({ graph: chain(side), carried });
    await executable.load({ state: new Float32Array(side * side).fill(1) });
    const sum = (await executable.run({}))["sum"]?.[0];
    if (Math.abs((sum ?? 0) / side ** 2 - 1) > 1e-3) throw new Error(`a product's sum is ${sum}`);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < REPETITIONS; i++) {
      const start = performance.now();
      await executable.run({});
      best = Math.min(best, performance.now() - start);
    }
    await executable.dispose();
    const tflops = (PRODUCTS * 2 * side ** 3) / best / 1e9;
    const peak: Peak = { side, tflops: Number(tflops.toPrecision(3)) };
    process.stdout.write(`${JSON.stringify(peak)}\n`);
    // The next size takes eight times as long: on a software adapter, for ever.
    if (best > SLOW_MS) break;
  }
}

/** Adds two numbers on the GPU. Whoever reads "ok" has one. */
export async function askForGpu(): Promise<void> {
  const x = ir.input("x", [1]);
  const executable = await ortNodeWebGpu.compile(graphOf({ y: ir.add(x, x) }));
  const { y } = await executable.run({ x: Float32Array.of(21) });
  if (y?.[0] !== 42) throw new Error(`the GPU says that 21 + 21 is ${y?.[0]}`);
  process.stdout.write('{"ok":true}\n');
}
