// A thread of ParallelGradients: it waits, computes the gradients of its share, and answers through
// shared memory. Only Node's CPU runtime has such threads.
import { workerData } from "node:worker_threads";
import { parameterCount } from "../model/config.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { createLoneSource } from "./create-source.ts";
import { FlatMemory } from "./flat-memory.ts";
import type { FlatArrays } from "./gradient-source.ts";
import {
  CONTROL_RUNS,
  CONTROL_STOP,
  CONTROL_WEIGHTS,
  type ThreadWork,
} from "./parallel-gradients.ts";

const work = workerData as ThreadWork;
const { micro, memory, results } = work;
const size = parameterCount(micro.model);
// ONNX Runtime takes no shared memory: a thread computes on arrays of its own.
const arrays: FlatArrays = {
  weights: new Float32Array(size),
  gradients: new Float32Array(size),
  memory: new FlatMemory(),
};
const first = work.firstSequence * micro.contextLength;
const length = micro.sequences * micro.contextLength;
const tokens = { ids: new Int32Array(length), targets: new Int32Array(length) };

const source = await createLoneSource({ runtime: ortNode, threads: 1 }, { ...work, arrays });
let weightsRead = 0;
answer();
for (let runs = 0; ; ) {
  Atomics.wait(memory.control, CONTROL_RUNS, runs);
  runs = Atomics.load(memory.control, CONTROL_RUNS);
  if (Atomics.load(memory.control, CONTROL_STOP) === 1) break;
  await run();
  answer();
}
await source.dispose();

async function run(): Promise<void> {
  const written = Atomics.load(memory.control, CONTROL_WEIGHTS);
  if (written !== weightsRead) arrays.weights.set(memory.weights);
  weightsRead = written;
  tokens.ids.set(memory.ids.subarray(first, first + length));
  tokens.targets.set(memory.targets.subarray(first, first + length));
  results.loss[0] = await source.run(tokens, "overwrite");
  results.gradients.set(arrays.gradients);
}

function answer(): void {
  Atomics.add(results.done, 0, 1);
  Atomics.notify(results.done, 0);
}
