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
import type { Carried, Executable, Feeds, StatefulExecutable, StatefulRuntime } from "./runtime.ts";

type Accept = (outputs: Readonly<Record<string, Float32Array>>) => boolean;
type StateInput = Carried & { readonly node: Tensor };

/** A node on the CPU would copy its values from and to the GPU in every step: it is refused. */
export const WEBGPU_SESSION: SessionOptions = {
  executionProviders: ["webgpu"],
  extra: { session: { disable_cpu_ep_fallback: "1" } },
};

/** Sessions of one GPU, which take turns: onnxruntime-web cannot have two calls under way. */
class Gpu {
  readonly backend: OrtBackend;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ort: Ort) {
    this.backend = {
      ort,
      lowering: WEBGPU_LOWERING,
      preallocates: false,
      session: WEBGPU_SESSION,
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
  readonly #session: OrtSession;
  /** Copies the state to the host: in Node, getData() of a tensor on the GPU ends the process. */
  readonly #reader: OrtSession;
  readonly #graph: Graph;
  readonly #carried: readonly StateInput[];
  readonly #state = new Map<string, OrtTensor>();

  constructor(
    ort: Ort,
    sessions: { readonly step: OrtSession; readonly reader: OrtSession },
    graph: { readonly graph: Graph; readonly carried: readonly StateInput[] },
  ) {
    this.#ort = ort;
    this.#session = sessions.step;
    this.#reader = sessions.reader;
    this.#graph = graph.graph;
    this.#carried = graph.carried;
  }

  async load(state: Readonly<Record<string, Float32Array>>): Promise<void> {
    for (const [name, data] of Object.entries(state)) {
      const own = this.#carried.find(({ input }) => input === name);
      const node = defined(own, `${name} is carried`).node;
      this.#replace(name, tensorOf(this.#ort, node, data.slice()));
    }
  }

  #replace(input: string, tensor: OrtTensor): void {
    const old = this.#state.get(input);
    if (old?.location === "gpu-buffer") old.dispose();
    this.#state.set(input, tensor);
  }

  async run(feeds: Feeds, accept: Accept = () => true): Promise<Record<string, Float32Array>> {
    const inputs: Record<string, OrtTensor> = {};
    for (const node of this.#graph.inputs) {
      const name = inputName(node);
      const fed = feeds[name];
      const tensor = fed ? tensorOf(this.#ort, node, fed) : this.#state.get(name);
      inputs[name] = defined(tensor, `the input ${name} is fed or loaded`);
    }
    const results = await this.#session.run(inputs);
    const next = this.#carried.map(({ output, input }) => {
      return { input, tensor: defined(results[output], `there is an output ${output}`) };
    });
    const outputs = this.#hostOutputs(results);
    if (accept(outputs)) for (const { input, tensor } of next) this.#replace(input, tensor);
    else for (const { tensor } of next) tensor.dispose();
    return outputs;
  }

  #hostOutputs(results: Readonly<Record<string, OrtTensor>>): Record<string, Float32Array> {
    const carried = new Set(this.#carried.map(({ output }) => output));
    const outputs: Record<string, Float32Array> = {};
    for (const name of this.#graph.outputs.keys()) {
      const tensor = results[name];
      if (carried.has(name)) {
        assert(tensor?.location === "gpu-buffer", `the state ${name} stays on the GPU`);
        continue;
      }
      assert(tensor?.data instanceof Float32Array, `the output ${name} is f32`);
      outputs[name] = tensor.data;
    }
    return outputs;
  }

  async read(): Promise<Record<string, Float32Array>> {
    const results = await this.#reader.run(Object.fromEntries(this.#state));
    const entries = this.#carried.map(({ input }) => {
      const data = results[copyName(input)]?.data;
      assert(data instanceof Float32Array, `the state ${input} can be read`);
      return [input, data] as const;
    });
    return Object.fromEntries(entries);
  }

  async dispose(): Promise<void> {
    for (const tensor of this.#state.values()) tensor.dispose();
    this.#state.clear();
    await this.#session.release();
    await this.#reader.release();
  }
}

function copyName(input: string): string {
  return `copy of ${input}`;
}

function stateInputs(graph: Graph, carried: readonly Carried[]): readonly StateInput[] {
  return carried.map((pair) => {
    const node = graph.inputs.find((x) => inputName(x) === pair.input);
    return { ...pair, node: defined(node, `the graph has an input ${pair.input}`) };
  });
}

/**
 * @param ort a build of ONNX Runtime with WebGPU kernels
 */
export function ortWebGpu(ort: Ort): StatefulRuntime {
  const gpu = new Gpu(ort);
  return {
    /** @throws RuntimeError if the graph is rejected, or a node of it has no WebGPU kernel */
    async compile(graph: Graph): Promise<Executable> {
      return new OrtExecutable(gpu.backend, await gpu.session(graph), graph);
    },

    /** @throws RuntimeError if the graph is rejected, or a node of it has no WebGPU kernel */
    async compileStateful(graph: Graph, carried: readonly Carried[]): Promise<StatefulExecutable> {
      const inputs = stateInputs(graph, carried);
      const staying = new Set(carried.map(({ output }) => output));
      const preferredOutputLocation = Object.fromEntries(
        [...graph.outputs.keys()].map((name) => {
          return [name, staying.has(name) ? ("gpu-buffer" as const) : ("cpu" as const)];
        }),
      );
      const copies = inputs.map(({ input, node }) => [copyName(input), node] as const);
      const sessions = {
        step: await gpu.session(graph, { preferredOutputLocation }),
        reader: await gpu.session(graphOf(Object.fromEntries(copies))),
      };
      return new GpuStateful(ort, sessions, { graph, carried: inputs });
    },
  };
}
