// What a page of the browser benchmark runs: one engine and its steps, or the probe, with clocks.
// It deliberately judges nothing: bench/engine/browser.ts does.
import * as ir from "@manyhands/engine/ir/ops";
import { type Graph, graphOf, type Tensor, topologicalOrder } from "@manyhands/engine/ir/tensor";
import { REFEREE_LOWERING } from "@manyhands/engine/onnx/lower";
import { browserProbe, type PageGlobals } from "@manyhands/engine/probe/browser";
import { type ProbeReport, probe } from "@manyhands/engine/probe/probe";
import { withHostState } from "@manyhands/engine/runtime/host-state";
import { createSession, OrtExecutable } from "@manyhands/engine/runtime/ort-session";
import { ortWebWasm, setUpWasm } from "@manyhands/engine/runtime/ort-web-wasm";
import type { Executable, Runtime } from "@manyhands/engine/runtime/runtime";
import { createDeviceTrainer } from "@manyhands/engine/train/device-trainer";
import { stepGraph } from "@manyhands/engine/train/step-graph";
import { createTrainer } from "@manyhands/engine/train/trainer";
import * as ort from "onnxruntime-web/wasm";
import { initJax, type Jax, stepJax } from "../engines/jax-llama.ts";
import type { Job } from "../models.ts";

/** The last is no engine: the step's matrix products and nothing else, which bounds all of ours. */
export type PageEngine = "manyhands" | "plain graph" | "jax-js" | "products alone";
export type PageTurn = { readonly ms: readonly number[]; readonly losses: readonly number[] };
export type TimedProbe = { readonly ms: number; readonly report: ProbeReport };

export type PageApi = {
  readonly isolated: boolean;
  init(engine: PageEngine, job: Job): Promise<void>;
  steps(count: number): Promise<PageTurn>;
  /** As a page that starts asks: within the probe's own budget. */
  probe(): Promise<TimedProbe>;
};

async function numbers(job: Job): Promise<{ weights: Float32Array; tokens: Int32Array }> {
  const bytes = async (url: string): Promise<ArrayBuffer> => (await fetch(url)).arrayBuffer();
  const weights = new Float32Array(await bytes(job.weightsFile));
  return { weights, tokens: new Int32Array(await bytes(job.tokensFile)) };
}

/** ONNX Runtime with each IR node by itself: nothing of ours is fused. */
function plainRuntime(threads: number): Runtime {
  setUpWasm({ threads });
  const session = { executionProviders: ["wasm"] };
  const backend = { ort, session, lowering: REFEREE_LOWERING, preallocates: false };
  return {
    async compile(graph: Graph): Promise<Executable> {
      return new OrtExecutable(backend, await createSession(backend, graph), graph);
    },
  };
}

/** Every matrix product of a training step, on constant feeds; one number of each comes back. */
function productsGraph({ config, optimizer, sequences, contextLength }: Job): Graph {
  const { graph } = stepGraph(config, { sequences, contextLength }, optimizer);
  const feeds = new Map<string, Tensor>();
  const feed = ({ shape }: Tensor): Tensor => {
    const name = shape.join("x");
    const known = feeds.get(name) ?? ir.input(name, shape);
    feeds.set(name, known);
    return known;
  };
  const numbers: Tensor[] = [];
  for (const { op, inputs } of topologicalOrder(graph.outputs.values())) {
    const [a, b] = inputs;
    if (op.kind !== "matmul" || a === undefined || b === undefined) continue;
    // Each with a scale of its own, so that the runtime does not merge equal ones.
    let y = ir.matmul(feed(a), feed(b), { ...op, scale: 1 + numbers.length / 1024 });
    for (let axis = 0; axis < y.shape.length; axis++) y = ir.slice(y, axis, 0, 1);
    numbers.push(ir.reshape(y, [1]));
  }
  return graphOf({ numbers: ir.concat(numbers, 0) });
}

async function productsStep(job: Job): Promise<Step> {
  const graph = productsGraph(job);
  const executable = await ortWebWasm({ threads: job.threads }).compile(graph);
  const feeds = graph.inputs.map(({ op, shape }) => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    return [op.kind === "input" ? op.name : "", new Float32Array(size).fill(0.5)] as const;
  });
  return async () => {
    await executable.run(Object.fromEntries(feeds));
    return Number.NaN;
  };
}

type Step = () => Promise<number>;

async function stepperOf(engine: PageEngine, job: Job): Promise<Step> {
  const { weights, tokens } = await numbers(job);
  if (engine === "products alone") return productsStep(job);
  if (engine === "jax-js") {
    const library = "/jax/index.js";
    await initJax((await import(library)) as Jax, job, { weights, tokens });
    return stepJax;
  }
  const { config: model, optimizer, sequences, contextLength, threads } = job;
  const batch = { sequences, contextLength };
  const size = sequences * (contextLength + 1);
  let count = 0;
  const next = (): Int32Array => {
    const start = (count * size) % tokens.length;
    count += 1;
    return tokens.subarray(start, start + size);
  };
  if (engine === "plain graph") {
    const runtime = withHostState(plainRuntime(threads));
    const trainer = await createDeviceTrainer({ runtime, model, optimizer, batch });
    await trainer.loadWeights(weights);
    return async () => (await trainer.step(next())).loss;
  }
  const trainer = await createTrainer({
    runtime: ortWebWasm({ threads }),
    model,
    optimizer,
    batch,
    threads,
  });
  trainer.weights.set(weights);
  return async () => (await trainer.step(next())).loss;
}

let step: Step | undefined;

const api: PageApi = {
  isolated: Reflect.get(globalThis, "crossOriginIsolated") === true,

  async init(engine, job) {
    step = await stepperOf(engine, job);
  },

  async steps(count) {
    const [ms, losses]: [number[], number[]] = [[], []];
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      losses.push((await step?.()) ?? Number.NaN);
      ms.push(performance.now() - start);
    }
    return { ms, losses };
  },

  async probe() {
    const options = browserProbe(globalThis as unknown as PageGlobals);
    const start = performance.now();
    const report = await probe(options);
    return { ms: performance.now() - start, report };
  },
};

(globalThis as unknown as { bench: PageApi }).bench = api;
