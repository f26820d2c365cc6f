// WebGPU by ONNX Runtime, in Node or a browser: graphs whose state never leaves the GPU.
// It deliberately refuses a graph of which any node would run on the CPU.
import { assert, defined } from "@manyhands/base/assert";
import { type Graph, graphOf, inputName, type Tensor } from "../ir/tensor.ts";
import { WEBGPU_LOWERING } from "../onnx/lower.ts";
import {
  createSession,
  type Ort,
  type OrtBackend,
  OrtExecutable,
  type OrtSession,
  type OrtTensor,
  type SessionOptions,
  tensorOf,
} from "./ort-session.ts";
import type {
  Executable,
  Feeds,
  StatefulExecutable,
  StatefulGraph,
  StatefulRuntime,
} from "./runtime.ts";

type Accept = (outputs: Readonly<Record<string, Float32Array>>) => boolean;
type Turn = StatefulGraph & { readonly session: OrtSession };

/** A node on the CPU would copy its values from and to the GPU in every step: it is refused. */
export const WEBGPU_SESSION: SessionOptions = {
  executionProviders: ["webgpu"],
  extra: { session: { disable_cpu_ep_fallback: "1" } },
};

export type OrtWebGpuOptions = {
  /**
   * So many kernels go to the GPU in one submission, at most: fewer let others draw in between.
   * The first session of a process decides for all. Default: the runtime's own, 16.
   */
  readonly kernelsPerSubmission?: number | undefined;
};

function sessionOptions({ kernelsPerSubmission }: OrtWebGpuOptions): SessionOptions {
  if (kernelsPerSubmission === undefined) return WEBGPU_SESSION;
  const maxNumPendingDispatches = String(kernelsPerSubmission);
  return {
    ...WEBGPU_SESSION,
    extra: {
      session: { disable_cpu_ep_fallback: "1" },
      ep: { webgpuexecutionprovider: { maxNumPendingDispatches } },
    },
  };
}

const GPU_FEEDS = { halfFloats: false };

/** Sessions of one GPU, which take turns: onnxruntime-web cannot have two calls under way. */
class Gpu {
  readonly backend: OrtBackend;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ort: Ort, options: OrtWebGpuOptions) {
    this.backend = {
      ort,
      lowering: WEBGPU_LOWERING,
      preallocates: false,
      session: sessionOptions(options),
    };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async session(graph: Graph, options: SessionOptions = {}): Promise<OrtSession> {
    const session = await this.#inTurn(() => createSession(this.backend, graph, options));
    return {
      run: (feeds, fetches) => this.#inTurn(() => session.run(feeds, fetches)),
      release: () => this.#inTurn(() => session.release()),
    };
  }
}

class GpuStateful implements StatefulExecutable {
  readonly #ort: Ort;
  readonly #turns: readonly Turn[];
  /** Copies the state to the host: in Node, getData() of a tensor on the GPU ends the process. */
  readonly #reader: OrtSession;
  /** What is carried from run to run, by name. */
  readonly #nodes: ReadonlyMap<string, Tensor>;
  readonly #state = new Map<string, OrtTensor>();

  constructor(
    ort: Ort,
    sessions: { readonly turns: readonly Turn[]; readonly reader: OrtSession },
    nodes: ReadonlyMap<string, Tensor>,
  ) {
    this.#ort = ort;
    this.#turns = sessions.turns;
    this.#reader = sessions.reader;
    this.#nodes = nodes;
  }

  async load(state: Readonly<Record<string, Float32Array>>): Promise<void> {
    for (const [name, data] of Object.entries(state)) {
      const node = defined(this.#nodes.get(name), `${name} is carried`);
      this.#replace(name, tensorOf(this.#ort, node, data.slice(), GPU_FEEDS));
    }
  }

  #replace(input: string, tensor: OrtTensor): void {
    const old = this.#state.get(input);
    if (old?.location === "gpu-buffer") old.dispose();
    this.#state.set(input, tensor);
  }

  async run(
    feeds: Feeds,
    accept: Accept = () => true,
    turn = 0,
  ): Promise<Record<string, Float32Array>> {
    const own = defined(this.#turns[turn], `there is a turn ${turn}`);
    const inputs: Record<string, OrtTensor> = {};
    for (const node of own.graph.inputs) {
      const name = inputName(node);
      const fed = feeds[name];
      const tensor = fed ? tensorOf(this.#ort, node, fed, GPU_FEEDS) : this.#state.get(name);
      inputs[name] = defined(tensor, `the input ${name} is fed or loaded`);
    }
    const results = await own.session.run(inputs);
    const next = own.carried.map(({ output, input }) => {
      return { input, tensor: defined(results[output], `there is an output ${output}`) };
    });
    const outputs = hostOutputs(own, results);
    if (accept(outputs)) for (const { input, tensor } of next) this.#replace(input, tensor);
    else for (const { tensor } of next) tensor.dispose();
    return outputs;
  }

  async read(): Promise<Record<string, Float32Array>> {
    const results = await this.#reader.run(Object.fromEntries(this.#state));
    const entries = [...this.#nodes.keys()].map((input) => {
      const data = results[copyName(input)]?.data;
      assert(data instanceof Float32Array, `the state ${input} can be read`);
      return [input, data] as const;
    });
    return Object.fromEntries(entries);
  }

  async dispose(): Promise<void> {
    for (const tensor of this.#state.values()) tensor.dispose();
    this.#state.clear();
    for (const { session } of this.#turns) await session.release();
    await this.#reader.release();
  }
}

function hostOutputs(
  { graph, carried }: StatefulGraph,
  results: Readonly<Record<string, OrtTensor>>,
): Record<string, Float32Array> {
  const staying = new Set(carried.map(({ output }) => output));
  const outputs: Record<string, Float32Array> = {};
  for (const name of graph.outputs.keys()) {
    const tensor = results[name];
    if (staying.has(name)) {
      assert(tensor?.location === "gpu-buffer", `the state ${name} stays on the GPU`);
      continue;
    }
    assert(tensor?.data instanceof Float32Array, `the output ${name} is f32`);
    outputs[name] = tensor.data;
  }
  return outputs;
}

function copyName(input: string): string {
  return `copy of ${input}`;
}

/** The carried inputs of all turns. */
function carriedNodes(turns: readonly StatefulGraph[]): ReadonlyMap<string, Tensor> {
  const nodes = new Map<string, Tensor>();
  for (const { graph, carried } of turns) {
    const inputs = new Map(graph.inputs.map((node) => [inputName(node), node] as const));
    for (const { input } of carried) {
      nodes.set(input, defined(inputs.get(input), `the graph has an input ${input}`));
    }
  }
  return nodes;
}

/** Where each output of a graph is wanted. */
function locationsOf({ graph, carried }: StatefulGraph): SessionOptions {
  const staying = new Set(carried.map(({ output }) => output));
  const preferredOutputLocation = Object.fromEntries(
    [...graph.outputs.keys()].map((name) => {
      return [name, staying.has(name) ? ("gpu-buffer" as const) : ("cpu" as const)];
    }),
  );
  return { preferredOutputLocation };
}

/**
 * @param ort a build of ONNX Runtime with WebGPU kernels
 */
export function ortWebGpu(ort: Ort, options: OrtWebGpuOptions = {}): StatefulRuntime {
  const gpu = new Gpu(ort, options);
  return {
    /** @throws RuntimeError if the graph is rejected, or a node of it has no WebGPU kernel */
    async compile(graph: Graph): Promise<Executable> {
      return new OrtExecutable(gpu.backend, await gpu.session(graph), graph);
    },

    /** @throws RuntimeError if the graph is rejected, or a node of it has no WebGPU kernel */
    async compileStateful(...graphs: readonly StatefulGraph[]): Promise<StatefulExecutable> {
      const nodes = carriedNodes(graphs);
      const turns: Turn[] = [];
      for (const one of graphs) {
        turns.push({ ...one, session: await gpu.session(one.graph, locationsOf(one)) });
      }
      const copies = [...nodes].map(([input, node]) => [copyName(input), node] as const);
      const reader = await gpu.session(graphOf(Object.fromEntries(copies)));
      return new GpuStateful(ort, { turns, reader }, nodes);
    },
  };
}
