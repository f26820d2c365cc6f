// State between runs, in arrays of the host: for runtimes whose memory is the host's own.
// It deliberately copies nothing but what is loaded and read.
import { assert, defined } from "@manyhands/base/assert";
import type {
  Carried,
  CompileOptions,
  Executable,
  Feeds,
  Runtime,
  StatefulExecutable,
  StatefulGraph,
  StatefulRuntime,
} from "./runtime.ts";

type Turn = { readonly executable: Executable; readonly carried: readonly Carried[] };

class HostStateful implements StatefulExecutable {
  readonly #turns: readonly Turn[];
  readonly #state = new Map<string, Float32Array>();

  constructor(turns: readonly Turn[]) {
    this.#turns = turns;
  }

  async load(state: Readonly<Record<string, Float32Array>>): Promise<void> {
    for (const [name, data] of Object.entries(state)) {
      assert(
        this.#turns.some(({ carried }) => carried.some(({ input }) => input === name)),
        `${name} is carried`,
      );
      this.#state.set(name, data.slice());
    }
  }

  async run(
    feeds: Feeds,
    accept: (outputs: Readonly<Record<string, Float32Array>>) => boolean = () => true,
    turn = 0,
  ): Promise<Record<string, Float32Array>> {
    const { executable, carried } = defined(this.#turns[turn], `there is a turn ${turn}`);
    const outputs = await executable.run({ ...feeds, ...Object.fromEntries(this.#state) });
    const next = new Map<string, Float32Array>();
    for (const { output, input } of carried) {
      next.set(input, defined(outputs[output], `there is an output ${output}`));
      delete outputs[output];
    }
    if (accept(outputs)) for (const [input, data] of next) this.#state.set(input, data);
    return outputs;
  }

  async read(): Promise<Record<string, Float32Array>> {
    return Object.fromEntries([...this.#state].map(([name, data]) => [name, data.slice()]));
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#turns.map(({ executable }) => executable.dispose()));
  }
}

/** The runtime, with state kept on the host. */
export function withHostState(runtime: Runtime, options: CompileOptions = {}): StatefulRuntime {
  return {
    compile: (graph, own) => runtime.compile(graph, own),
    async compileStateful(...graphs: readonly StatefulGraph[]): Promise<StatefulExecutable> {
      const turns: Turn[] = [];
      for (const { graph, carried } of graphs) {
        turns.push({ executable: await runtime.compile(graph, options), carried });
      }
      return new HostStateful(turns);
    },
  };
}
