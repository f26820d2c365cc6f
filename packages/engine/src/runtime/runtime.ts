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
}

/** Where a graph's state lives between runs: each of these outputs is an input of the next run. */
export type Carried = {
  readonly output: string;
  readonly input: string;
};

/** A graph whose state stays on the device: it is neither fed nor returned. */
export interface StatefulExecutable {
  /** Sets carried inputs, by their names. All must be set before the first run. */
  load(state: Readonly<Record<string, Float32Array>>): Promise<void>;
  /**
   * Runs once; the carried outputs become the state if the other outputs are accepted, else the
   * state is as before.
   *
   * @param feeds one array per input that is not carried
   * @returns     the outputs that are not carried
   */
  run(
    feeds: Feeds,
    accept?: (outputs: Readonly<Record<string, Float32Array>>) => boolean,
  ): Promise<Record<string, Float32Array>>;
  /** A copy of the state, by input names. */
  read(): Promise<Record<string, Float32Array>>;
  dispose(): Promise<void>;
}

export interface StatefulRuntime extends Runtime {
  compileStateful(graph: Graph, carried: readonly Carried[]): Promise<StatefulExecutable>;
}
