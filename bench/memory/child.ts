// One training run in a process of its own: its peak memory, and its time per step.
// It deliberately does nothing else, so that the peak is the trainer's.
// Usage: node bench/memory/child.ts '<JSON of ChildOptions>'   prints one line of JSON
import type { ModelConfig } from "@manyhands/engine/model/config";
import type { Recomputation } from "@manyhands/engine/plan/predict-memory";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import type { BatchShape } from "@manyhands/engine/train/batch-shape";
import type { OptimizerOptions } from "@manyhands/engine/train/options";
import { createTrainer } from "@manyhands/engine/train/trainer";

export type ChildOptions = {
  readonly model: ModelConfig;
  readonly batch: BatchShape;
  readonly optimizer: OptimizerOptions;
  readonly microBatch?: number;
  readonly recomputation?: Recomputation;
  readonly steps: number;
};

export type ChildResult = {
  readonly peakBytes: number;
  readonly baseBytes: number;
  /** Of the process' processor time and of the wall clock: medians without the first step. */
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly loss: number;
};

async function main(options: ChildOptions): Promise<ChildResult> {
  const { steps, batch, ...choice } = options;
  const baseBytes = process.resourceUsage().maxRSS * 1024;
  const trainer = await createTrainer({ runtime: ortNode, batch, ...choice });
  for (let i = 0; i < trainer.weights.length; i++) trainer.weights[i] = 0.02 * Math.sin(i * 0.7);
  const size = batch.sequences * (batch.contextLength + 1);
  const tokens = Int32Array.from({ length: size }, (_, i) => (i * 7919) % options.model.vocabSize);
  const cpu: number[] = [];
  const wall: number[] = [];
  let loss = Number.NaN;
  for (let step = 0; step < steps; step++) {
    const [before, start] = [process.cpuUsage(), process.hrtime.bigint()];
    loss = (await trainer.step(tokens)).loss;
    const { user, system } = process.cpuUsage(before);
    cpu.push((user + system) / 1000);
    wall.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  return { peakBytes, baseBytes, cpuMs: median(cpu.slice(1)), wallMs: median(wall.slice(1)), loss };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2] ?? "{}"))));
process.exit(0);
