// ONNX Runtime on the CPU, in Node. The only file of this package that imports it.
import { assert, defined } from "@manyhands/base/assert";
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import ort from "onnxruntime-node";
import { type Graph, inputName, type Tensor, type TensorData } from "../ir/tensor.ts";
import { lowerToOnnx } from "../onnx/lower.ts";
import type { CompileOptions, Executable, Feeds, Runtime } from "./runtime.ts";

/** ONNX Runtime could not build or run a graph. */
class RuntimeError extends ManyhandsError {
  override readonly name = "RuntimeError";
}

/** Wraps arrays as tensors once: the same array is fed in every step, with new contents. */
class TensorCache {
  readonly #known = new Map<string, { readonly data: TensorData; readonly tensor: ort.Tensor }>();

  tensor(node: Tensor, name: string, data: TensorData): ort.Tensor {
    const known = this.#known.get(name);
    if (known?.data === data) return known.tensor;
    const tensor =
      data instanceof Float32Array
        ? new ort.Tensor("float32", data, node.shape)
        : new ort.Tensor("int32", data, node.shape);
    this.#known.set(name, { data, tensor });
    return tensor;
  }
}

class OrtExecutable implements Executable {
  readonly #session: ort.InferenceSession;
  readonly #graph: Graph;
  readonly #cache = new TensorCache();

  constructor(session: ort.InferenceSession, graph: Graph) {
    this.#session = session;
    this.#graph = graph;
  }

  async run(
    feeds: Feeds,
    into: Readonly<Record<string, Float32Array>> = {},
  ): Promise<Record<string, Float32Array>> {
    const inputs: Record<string, ort.Tensor> = {};
    for (const node of this.#graph.inputs) {
      const name = inputName(node);
      const data = defined(feeds[name], `the input ${name} is fed`);
      inputs[name] = this.#cache.tensor(node, `feed ${name}`, data);
    }
    const fetches: Record<string, ort.Tensor | null> = {};
    for (const [name, node] of this.#graph.outputs) {
      const data = into[name];
      fetches[name] = data ? this.#cache.tensor(node, `fetch ${name}`, data) : null;
    }
    const results = await this.#session.run(inputs, fetches);
    const outputs: Record<string, Float32Array> = {};
    for (const name of this.#graph.outputs.keys()) {
      const data = into[name] ?? results[name]?.data;
      assert(data instanceof Float32Array, `the output ${name} is f32`);
      outputs[name] = data;
    }
    return outputs;
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

export const ortNode: Runtime = {
  /** @throws RuntimeError if ONNX Runtime rejects the graph */
  async compile(graph: Graph, options: CompileOptions = {}): Promise<Executable> {
    try {
      const session = await ort.InferenceSession.create(lowerToOnnx(graph), {
        executionProviders: ["cpu"],
        intraOpNumThreads: options.threads ?? 1,
        interOpNumThreads: 1,
        executionMode: "sequential",
        // Memory patterns cost a third of the peak memory and gain nothing measurable here.
        enableMemPattern: false,
        // Not session.set_denormal_as_zero, which makes masked softmax three times as fast: it
        // would flush denormals in JavaScript's own arithmetic on this thread too, for good, and so
        // change shared bits.
        logSeverityLevel: 4,
      });
      return new OrtExecutable(session, graph);
    } catch (caught) {
      throw new RuntimeError(`ONNX Runtime rejects the graph: ${messageOf(caught)}`, {
        cause: caught,
        hint: "an operation may be unknown to this version; try another device",
      });
    }
  },
};
