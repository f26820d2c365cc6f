// What all builds of ONNX Runtime have in common: graphs become sessions, arrays become tensors.
// It deliberately imports no build: each runtime's file brings its own.
import { assert, defined } from "@manyhands/base/assert";
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import type * as common from "onnxruntime-common";
import { type Graph, inputName, type Tensor, type TensorData } from "../ir/tensor.ts";
import { type LowerOptions, lowerToOnnx, wordInputsOf } from "../onnx/lower.ts";
import { wordShape } from "../onnx/packed.ts";
import type { Executable, Feeds } from "./runtime.ts";

/** A build of ONNX Runtime: onnxruntime-node or one of onnxruntime-web's. */
export type Ort = Pick<typeof common, "InferenceSession" | "Tensor">;
/** What is used of a session. */
export type OrtSession = {
  run(
    feeds: common.InferenceSession.FeedsType,
    fetches?: common.InferenceSession.FetchesType,
  ): Promise<common.InferenceSession.ReturnType>;
  release(): Promise<void>;
};
export type OrtTensor = common.Tensor;
export type SessionOptions = common.InferenceSession.SessionOptions;

/** How one backend compiles: its build, its operators, its options. */
export type OrtBackend = {
  readonly ort: Ort;
  readonly lowering: LowerOptions;
  readonly session: SessionOptions;
  /** Whether a run writes into given arrays itself: onnxruntime-web silently does not. */
  readonly preallocates: boolean;
};

/** ONNX Runtime could not build or run a graph. */
class RuntimeError extends ManyhandsError {
  override readonly name = "RuntimeError";
}

/** @throws RuntimeError if ONNX Runtime rejects the graph */
export async function createSession(
  backend: OrtBackend,
  graph: Graph,
  options: SessionOptions = {},
): Promise<OrtSession> {
  try {
    const bytes = lowerToOnnx(graph, backend.lowering);
    return await backend.ort.InferenceSession.create(bytes, {
      interOpNumThreads: 1,
      executionMode: "sequential",
      logSeverityLevel: 4,
      ...backend.session,
      ...options,
    });
  } catch (caught) {
    throw sessionError(caught);
  }
}

function sessionError(cause: unknown): RuntimeError {
  const words = messageOf(cause);
  if (/get a WebGPU adapter|no supported adapters/i.test(words)) {
    const hint = "update the graphics driver (Vulkan, Metal or Direct3D 12), or use the processor";
    return new RuntimeError("there is no GPU here that WebGPU can use", { cause, hint });
  }
  const hint = "an operation may be unknown to this version; try another device";
  return new RuntimeError(`ONNX Runtime rejects the graph: ${words}`, { cause, hint });
}

/** How values are fed that have more than one form (onnx/lower.ts). */
type FeedForm = {
  /** Whether the device has half floats; where not, their bytes are fed. */
  readonly halfFloats?: boolean | undefined;
  /** Whether bytes are fed as words of 16 bits. */
  readonly words?: boolean;
};

/** The array as a tensor of the node's shape, without a copy. */
export function tensorOf(
  ort: Ort,
  node: Tensor,
  data: TensorData,
  { halfFloats = true, words = false }: FeedForm = {},
): OrtTensor {
  if (data instanceof Float32Array) return new ort.Tensor("float32", data, node.shape);
  if (data instanceof Int32Array) return new ort.Tensor("int32", data, node.shape);
  if (data instanceof Uint8Array) {
    if (words) return new ort.Tensor("uint16", wordsOf(data), wordShape(node.shape));
    return new ort.Tensor("uint8", data, node.shape);
  }
  if (!halfFloats) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return new ort.Tensor("uint8", bytes, [...node.shape, 2]);
  }
  // Where the language has half floats, the constructor refuses their bits, and Node's binding
  // refuses the half floats. The bits with the right name pass both.
  const bits: { type: OrtTensor["type"] } = new ort.Tensor("uint16", data, node.shape);
  bits.type = "float16";
  return bits as OrtTensor;
}

/** Bytes two by two: a view where words may start, else a copy. */
function wordsOf(bytes: Uint8Array): Uint16Array {
  const own = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(own.buffer, own.byteOffset, own.length / 2);
}

/** Wraps arrays as tensors once: the same array is fed in every step, with new contents. */
class TensorCache {
  readonly #backend: OrtBackend;
  readonly #words: ReadonlySet<Tensor>;
  readonly #known = new Map<string, { readonly data: TensorData; readonly tensor: OrtTensor }>();

  constructor(backend: OrtBackend, graph: Graph) {
    this.#backend = backend;
    this.#words = wordInputsOf(graph, backend.lowering);
  }

  tensor(node: Tensor, name: string, data: TensorData): OrtTensor {
    const known = this.#known.get(name);
    if (known?.data === data) return known.tensor;
    const { ort, lowering } = this.#backend;
    const { halfFloats } = lowering;
    const tensor = tensorOf(ort, node, data, { halfFloats, words: this.#words.has(node) });
    this.#known.set(name, { data, tensor });
    return tensor;
  }
}

/** Gives an array's memory back now, not when garbage is collected. */
function discard(data: Float32Array): void {
  if (data.buffer instanceof ArrayBuffer) data.buffer.transfer(0);
}

/** A session that reads arrays and returns arrays. */
export class OrtExecutable implements Executable {
  readonly #backend: OrtBackend;
  readonly #session: OrtSession;
  readonly #graph: Graph;
  readonly #cache: TensorCache;

  constructor(backend: OrtBackend, session: OrtSession, graph: Graph) {
    this.#backend = backend;
    this.#session = session;
    this.#graph = graph;
    this.#cache = new TensorCache(backend, graph);
  }

  async run(
    feeds: Feeds,
    into: Readonly<Record<string, Float32Array>> = {},
  ): Promise<Record<string, Float32Array>> {
    const inputs: Record<string, OrtTensor> = {};
    for (const node of this.#graph.inputs) {
      const name = inputName(node);
      const data = defined(feeds[name], `the input ${name} is fed`);
      inputs[name] = this.#cache.tensor(node, `feed ${name}`, data);
    }
    const fetches: Record<string, OrtTensor | null> = {};
    for (const [name, node] of this.#graph.outputs) {
      const data = this.#backend.preallocates ? into[name] : undefined;
      fetches[name] = data ? this.#cache.tensor(node, `fetch ${name}`, data) : null;
    }
    const results = await this.#session.run(inputs, fetches);
    const outputs: Record<string, Float32Array> = {};
    for (const name of this.#graph.outputs.keys()) {
      outputs[name] = this.#received(name, results[name], into[name]);
    }
    return outputs;
  }

  #received(name: string, tensor: OrtTensor | undefined, target?: Float32Array): Float32Array {
    const data = tensor?.data;
    if (target && this.#backend.preallocates) {
      // The binding returns a copy of what it wrote into the target: gradients, in every step.
      if (data instanceof Float32Array && data.buffer !== target.buffer) discard(data);
      return target;
    }
    assert(data instanceof Float32Array, `the output ${name} is f32`);
    target?.set(data);
    return target ?? data;
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}
