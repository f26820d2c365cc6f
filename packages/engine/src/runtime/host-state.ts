// State between runs, in arrays of the host: for runtimes whose memory is the host's own.
// It deliberately copies nothing but what is loaded and read.
import { assert, defined } from "@manyhands/base/assert";
import type { Graph } from "../ir/tensor.ts";
import type {
  Carried,
  CompileOptions,
  Executable,
  Feeds,
  Runtime,
  StatefulExecutable,
  StatefulRuntime,
} from "./runtime.ts";

class HostStateful implements StatefulExecutable {
  readonly #executable: Executable;
  readonly #carried: readonly Carried[];
  readonly #state = new Map<string, Float32Array>();

  constructor(executable: Executable, carried: readonly Carried[]) {
    this.#executable = executable;
    this.#carried = carried;
  }

  async load(state: Readonly<Record<string, Float32Array>>): Promise<void> {
    for (const [name, data] of Object.entries(state)) {
      assert(
        this.#carried.some(({ input }) => input === name),
        `${name} is carried`,
      );
      this.#state.set(name, data.slice());
    }
  }

  async run(
    feeds: Feeds,
    accept: (outputs: Readonly<Record<string, Float32Array>>) => boolean = () => true,
  ): Promise<Record<string, Float32Array>> {
    const outputs = await this.#executable.run({ ...feeds, ...Object.fromEntries(this.#state) });
    const next = new Map<string, Float32Array>();
    for (const { output, input } of this.#carried) {
      next.set(input, defined(outputs[output], `there is an output ${output}`));
      delete outputs[output];
    }
    if (accept(outputs)) for (const [input, data] of next) this.#state.set(input, data);
    return outputs;
  }

  async read(): Promise<Record<string, Float32Array>> {
    return Object.fromEntries([...this.#state].map(([name, data]) => [name, data.slice()]));
  }

  dispose(): Promise<void> {
    return this.#executable.dispose();
  }
}

/** The runtime, with state kept on the host. */
export function withHostState(runtime: Runtime, options: CompileOptions = {}): StatefulRuntime {
  return {
    compile: (graph, own) => runtime.compile(graph, own),
    async compileStateful(graph: Graph, carried: readonly Carried[]): Promise<StatefulExecutable> {
      return new HostStateful(await runtime.compile(graph, options), carried);
    },
  };
}
