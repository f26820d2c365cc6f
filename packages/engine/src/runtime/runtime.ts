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
