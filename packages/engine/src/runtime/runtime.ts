// What a runtime is: something that compiles an IR graph and runs it. Nothing here names a product.
import type { Graph, TensorData } from "../ir/tensor.ts";

export type CompileOptions = {
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
};

export type Feeds = Readonly<Record<string, TensorData>>;

export interface Executable {
  /**
   * Runs the graph once. Arrays are row-major and exactly as long as their shape says.
   *
   * @param feeds one array per input; the same array object may be fed again with new contents
   * @param into  arrays that receive these outputs, instead of fresh ones
   * @returns     every output by name
   */
  run(
    feeds: Feeds,
    into?: Readonly<Record<string, Float32Array>>,
  ): Promise<Record<string, Float32Array>>;
  dispose(): Promise<void>;
}

export interface Runtime {
  compile(graph: Graph, options?: CompileOptions): Promise<Executable>;
  /**
   * Starts a module in a thread beside this one, where a runtime has threads that can use it too.
   *
   * @param onFailure called when the module throws, or ends by itself
   * @returns         undefined if the module is not a file of its own, as in a bundled program
   */
  readonly startThread?: StartThread;
}

export type StartThread = (
  module: URL,
  data: unknown,
  onFailure: (error: Error) => void,
) => Thread | undefined;

/** A thread that runs one module. By itself it does not keep the process alive. */
export interface Thread {
  /** Keeps the process alive until as many calls of release. */
  hold(): void;
  release(): void;
  /** Resolves when the thread, told to end by other means, has ended. */
  ended(): Promise<void>;
}

/** Where a graph's state lives between runs: each of these outputs is an input of the next run. */
export type Carried = {
  readonly output: string;
  readonly input: string;
};

/** A graph and what it carries. An input that others carry and it does not, it only reads. */
export type StatefulGraph = {
  readonly graph: Graph;
  readonly carried: readonly Carried[];
};

/** Graphs whose one state stays on the device: it is neither fed nor returned. */
export interface StatefulExecutable {
  /** Sets carried inputs, by their names. All must be set before the first run. */
  load(state: Readonly<Record<string, Float32Array>>): Promise<void>;
  /**
   * Runs once; the carried outputs become the state if the other outputs are accepted, else the
   * state is as before.
   *
   * @param feeds one array per input that is not carried; more are ignored
   * @param turn  which of its graphs runs. Default 0, the first
   * @returns     the outputs that are not carried
   */
  run(
    feeds: Feeds,
    accept?: (outputs: Readonly<Record<string, Float32Array>>) => boolean,
    turn?: number,
  ): Promise<Record<string, Float32Array>>;
  /** A copy of the state, by input names. */
  read(): Promise<Record<string, Float32Array>>;
  dispose(): Promise<void>;
}

export interface StatefulRuntime extends Runtime {
  /** @param turns one or more graphs, of which each run takes one, over the same state */
  compileStateful(...turns: readonly StatefulGraph[]): Promise<StatefulExecutable>;
}
