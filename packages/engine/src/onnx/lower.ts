// Lowering: from an IR graph to the bytes of an ONNX model. It deliberately optimises nothing, but
// for emitting equal nodes once, fused operators where they exist, and what fusion.ts finds.
import { assert, defined } from "@manyhands/base/assert";
import {
  type Graph,
  inputName,
  type Op,
  type OpKind,
  type Shape,
  type Tensor,
  topologicalOrder,
} from "../ir/tensor.ts";
import { packedProducts, productSums, wordInputs } from "./fusion.ts";
import { elementType, MICROSOFT, OnnxModel } from "./model.ts";
import { emitDequantized, emitPackedProduct, wordShape } from "./packed.ts";

export type LowerOptions = {
  /** ONNX Runtime's CPU kernels have FusedMatMul; its WebGPU kernels do not. Default true. */
  readonly fusedMatmul?: boolean;
  /** WebGPU kernels have no OneHot of int32 ids: false compares with a range. Default true. */
  readonly oneHot?: boolean;
  /**
   * Whether an inverse root mean square may come from the kernel that normalises. False computes it
   * by itself, so that it can be computed again alone, to the bit. Default true.
   */
  readonly sharedInverse?: boolean;
  /** Whether a matrix product and a sum with it may be one operator. Default true. */
  readonly productSums?: boolean;
  /** Whether a product with a packed matrix may be one operator, MatMulNBits. Default true. */
  readonly packedProducts?: boolean;
  /** Whether the device has half floats. False: they are fed as bytes [..., 2]. Default true. */
  readonly halfFloats?: boolean;
  /** Whether nibbles may be fed as words of 16 bits, and unpacked four at a time. Default true. */
  readonly words?: boolean;
};

/**
 * Only operators that ONNX Runtime's WebGPU kernels have. Its SimplifiedLayerNormalization accepts
 * a second output there, but does not compute it.
 */
export const WEBGPU_LOWERING: LowerOptions = {
  fusedMatmul: false,
  oneHot: false,
  sharedInverse: false,
  halfFloats: false,
  words: false,
};

/**
 * A table of this many rows or fewer gets its gradient as a matrix product, the others by
 * scattering.
 */
const ONE_HOT_ROWS_MAX = 1024;

/** Every IR node by itself and by ONNX's own operators: as the referee computes. */
export const REFEREE_LOWERING: LowerOptions = {
  fusedMatmul: false,
  sharedInverse: false,
  productSums: false,
  packedProducts: false,
  words: false,
};

type OpOf<K extends OpKind> = Op & { readonly kind: K };
type Context = {
  readonly model: OnnxModel;
  readonly options: LowerOptions;
  /** The inverse root mean squares that a fused normalisation gives besides its result. */
  readonly inverses: Map<string, string>;
  /** Inputs that are fed as words. */
  readonly words: ReadonlySet<Tensor>;
};
type Lowering<K extends OpKind> = (
  op: OpOf<K>,
  node: Tensor,
  inputs: readonly string[],
  context: Context,
) => string;
type Lowerings = { readonly [K in OpKind]: Lowering<K> };

/** @returns the bytes of an ONNX model (opset 20 and com.microsoft 1) */
export function lowerToOnnx(graph: Graph, options: LowerOptions = {}): Uint8Array {
  const names = new Map<Tensor, string>();
  const order = normalizersFirst(topologicalOrder(graph.outputs.values()));
  const fuses = options.productSums ?? true;
  const sums = fuses ? productSums(order, graph.outputs.values()) : new Map<Tensor, Tensor>();
  const { packed, words } = packedParts(order, graph, options);
  const context: Context = { model: new OnnxModel(), options, inverses: new Map(), words };
  const absorbed = new Set([...sums.values(), ...packed.values()]);
  const namesOf = (nodes: readonly Tensor[]): readonly string[] =>
    nodes.map((x) => defined(names.get(x), "inputs come before users"));
  for (const node of order) {
    if (absorbed.has(node)) continue;
    const product = sums.get(node);
    if (product) {
      const addend = node.inputs.find((x) => x !== product);
      const inputs = namesOf([...product.inputs, defined(addend, "a sum has two sides")]);
      names.set(node, emitGemm(context.model, product.op, inputs));
      continue;
    }
    const matrix = packed.get(node);
    if (matrix) {
      const [x] = node.inputs;
      const inputs = namesOf([defined(x, "a product has two sides"), ...matrix.inputs]);
      names.set(node, emitPackedProduct(context.model, matrix, inputs));
      continue;
    }
    const inputs = namesOf(node.inputs);
    // The table's type ties every lowering to its own op; only the lookup by a union key loses that
    // tie.
    const lowering = LOWERINGS[node.op.kind] as Lowering<OpKind>;
    names.set(node, lowering(node.op, node, inputs, context));
  }
  for (const [name, node] of graph.outputs) {
    const value = defined(names.get(node), "every output is lowered");
    context.model.output(name, value, node.shape, node.dtype);
  }
  return context.model.encode();
}

/** Products that unpack as they multiply, and the inputs that are fed as words. */
function packedParts(
  order: readonly Tensor[],
  graph: Graph,
  { packedProducts: packs = true, words = true }: LowerOptions,
): { readonly packed: ReadonlyMap<Tensor, Tensor>; readonly words: ReadonlySet<Tensor> } {
  const packed = packs ? packedProducts(order, graph.outputs.values()) : new Map<Tensor, Tensor>();
  return { packed, words: words ? wordInputs(order, packed) : new Set() };
}

/** The inputs of a graph that are fed as words of 16 bits instead of bytes. */
export function wordInputsOf(graph: Graph, options: LowerOptions): ReadonlySet<Tensor> {
  return packedParts(topologicalOrder(graph.outputs.values()), graph, options).words;
}

function at(names: readonly string[], index: number): string {
  return defined(names[index], `there is an input ${index}`);
}

function simple<K extends OpKind>(type: string): Lowering<K> {
  return (_op, _node, inputs, { model }) => model.emit(type, inputs);
}

/** scale · op(a) · op(b), plus a third input if there is one. */
function emitGemm(model: OnnxModel, op: Op, inputs: readonly string[]): string {
  assert(op.kind === "matmul", "a product is a matmul");
  const [transA, transB] = [op.transposeA ? 1 : 0, op.transposeB ? 1 : 0];
  return model.emit("Gemm", inputs, { transA, transB, alpha: { float: op.scale } });
}

const lowerMatmul: Lowering<"matmul"> = (op, node, inputs, { model, options }) => {
  const [a, b] = node.inputs;
  const [transA, transB] = [op.transposeA ? 1 : 0, op.transposeB ? 1 : 0];
  if (a?.shape.length === 2 && b?.shape.length === 2) {
    return emitGemm(model, op, inputs);
  }
  if (options.fusedMatmul ?? true) {
    return model.emit(
      "FusedMatMul",
      inputs,
      { transA, transB, alpha: { float: op.scale } },
      MICROSOFT,
    );
  }
  const swapped = [op.transposeA, op.transposeB].map((swap, index) => {
    const rank = node.inputs[index]?.shape.length ?? 2;
    const perm = Array.from({ length: rank }, (_, axis) => axis);
    perm.splice(rank - 2, 2, rank - 1, rank - 2);
    return swap ? model.emit("Transpose", [at(inputs, index)], { perm }) : at(inputs, index);
  });
  const product = model.emit("MatMul", swapped);
  return op.scale === 1 ? product : model.emit("Mul", [product, model.scalar(op.scale)]);
};

function reduction<K extends "reduceSum" | "reduceMean" | "reduceMax">(type: string): Lowering<K> {
  return (op, _node, inputs, { model }) =>
    model.emit(type, [at(inputs, 0), model.int64s(op.axes)], { keepdims: op.keepDims ? 1 : 0 });
}

const lowerScatterRows: Lowering<"scatterRows"> = (_op, node, inputs, context) => {
  const { model } = context;
  const [rows = 0, width = 0] = node.shape;
  const count = (node.inputs[0]?.shape ?? []).reduce((product, dim) => product * dim, 1);
  const dy = model.emit("Reshape", [at(inputs, 1), model.int64s([count, width])]);
  if (rows <= ONE_HOT_ROWS_MAX) {
    const ids = model.emit("Reshape", [at(inputs, 0), model.int64s([count])]);
    const hot = emitOneHot(context, ids, { shape: [count], depth: rows });
    return model.emit("Gemm", [hot, dy], { transA: 1, transB: 0, alpha: { float: 1 } });
  }
  const zeros = model.emit("Expand", [model.scalar(0), model.int64s([rows, width])]);
  // WebGPU's kernels reshape int32, not int64.
  const column = model.emit("Reshape", [at(inputs, 0), model.int64s([count, 1])]);
  const indices = model.emit("Cast", [column], { to: 7 });
  return model.emit("ScatterND", [zeros, indices, dy], { reduction: "add" });
};

function emitOneHot(
  { model, options }: Context,
  ids: string,
  { shape, depth }: { readonly shape: Shape; readonly depth: number },
): string {
  if (options.oneHot === false) {
    const column = model.emit("Reshape", [ids, model.int64s([...shape, 1])]);
    const range = model.constant(
      Int32Array.from({ length: depth }, (_, i) => i),
      [depth],
    );
    return model.emit("Cast", [model.emit("Equal", [column, range])], { to: elementType("f32") });
  }
  const values = model.emit("Concat", [unsqueezed(model, 0), unsqueezed(model, 1)], { axis: 0 });
  // The kernel for int32 ids wants an int32 depth.
  const wide = model.emit("Cast", [model.int64s([depth])], { to: 6 });
  return model.emit("OneHot", [ids, wide, values], { axis: -1 });
}

function unsqueezed(model: OnnxModel, value: number): string {
  return model.emit("Reshape", [model.scalar(value), model.int64s([1])]);
}

const lowerRope: Lowering<"rope"> = (_op, _node, inputs, { model }) => {
  const position = model.int64s([0]);
  const [x, cos, sin] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
  return model.emit("RotaryEmbedding", [x, position, cos, sin], {}, MICROSOFT);
};

/**
 * The same order, but what normalises comes before the inverse of the same values, whose kernel it
 * is, wherever a graph has both: then the inverse is the same bits in every graph.
 */
function normalizersFirst(order: readonly Tensor[]): readonly Tensor[] {
  const normalizers = new Map<Tensor, Tensor[]>();
  for (const node of order) {
    const [x] = node.inputs;
    if (x === undefined || !/^(rms|layer)Normalize$/.test(node.op.kind)) continue;
    normalizers.set(x, [...(normalizers.get(x) ?? []), node]);
  }
  const placed = new Set<Tensor>();
  const place = (node: Tensor): void => {
    if (placed.has(node)) return;
    for (const input of node.inputs) place(input);
    placed.add(node);
  };
  for (const node of order) {
    const [x] = node.inputs;
    const inverse = node.op.kind === "rmsInverse" || node.op.kind === "layerInverse";
    if (inverse && x) for (const normalizer of normalizers.get(x) ?? []) place(normalizer);
    place(node);
  }
  return [...placed];
}

/** A gain that changes nothing, for an inverse whose normalised values nobody needs. */
function ones(model: OnnxModel, node: Tensor): string {
  const width = node.inputs[0]?.shape.at(-1) ?? 1;
  return model.emit("Expand", [model.scalar(1), model.int64s([width])]);
}

const lowerRmsNormalize: Lowering<"rmsNormalize"> = (op, _node, inputs, context) => {
  const { model, inverses, options } = context;
  const attributes = { axis: -1, epsilon: { float: op.eps } };
  const type = "SimplifiedLayerNormalization";
  const outputs = model.emitMany({ type, inputs, attributes, domain: "" }, 2);
  if (options.sharedInverse ?? true) inverses.set(`${at(inputs, 0)}/${op.eps}`, at(outputs, 1));
  return at(outputs, 0);
};

const lowerRmsInverse: Lowering<"rmsInverse"> = (op, node, inputs, context) => {
  const { model, inverses, options } = context;
  const x = at(inputs, 0);
  const known = inverses.get(`${x}/${op.eps}`);
  if (known !== undefined) return known;
  if (options.sharedInverse ?? true) {
    const attributes = { axis: -1, epsilon: { float: op.eps } };
    const type = "SimplifiedLayerNormalization";
    const own = { type, inputs: [x, ones(model, node)], attributes, domain: "" };
    return at(model.emitMany(own, 2), 1);
  }
  const mean = model.emit("ReduceMean", [model.emit("Mul", [x, x]), model.int64s([-1])], {
    keepdims: 1,
  });
  const root = model.emit("Sqrt", [model.emit("Add", [mean, model.scalar(op.eps)])]);
  return model.emit("Reciprocal", [root]);
};

const lowerLayerNormalize: Lowering<"layerNormalize"> = (op, _node, inputs, context) => {
  const attributes = { axis: -1, epsilon: { float: op.eps } };
  const node = { type: "LayerNormalization", inputs, attributes, domain: "" };
  const outputs = context.model.emitMany(node, 3);
  if (context.options.sharedInverse ?? true) {
    context.inverses.set(`layer ${at(inputs, 0)}/${op.eps}`, at(outputs, 2));
  }
  return at(outputs, 0);
};

const lowerLayerInverse: Lowering<"layerInverse"> = (op, node, inputs, context) => {
  const { model, inverses, options } = context;
  const x = at(inputs, 0);
  const known = inverses.get(`layer ${x}/${op.eps}`);
  if (known !== undefined) return known;
  if (options.sharedInverse ?? true) {
    const attributes = { axis: -1, epsilon: { float: op.eps } };
    const own = { type: "LayerNormalization", inputs: [x, ones(model, node)], attributes };
    return at(model.emitMany({ ...own, domain: "" }, 3), 2);
  }
  const last = model.int64s([-1]);
  const centred = model.emit("Sub", [x, model.emit("ReduceMean", [x, last], { keepdims: 1 })]);
  const squares = model.emit("Mul", [centred, centred]);
  const variance = model.emit("ReduceMean", [squares, last], { keepdims: 1 });
  const root = model.emit("Sqrt", [model.emit("Add", [variance, model.scalar(op.eps)])]);
  return model.emit("Reciprocal", [root]);
};

const LOWERINGS: Lowerings = {
  input: (_op, node, _inputs, { model, options, words }) => {
    const asBytes = node.dtype === "f16" && options.halfFloats === false;
    if (asBytes) model.input(inputName(node), [...node.shape, 2], "u8");
    else if (words.has(node)) model.input(inputName(node), wordShape(node.shape), "u16");
    else model.input(inputName(node), node.shape, node.dtype);
    return inputName(node);
  },
  constant: (op, node, _inputs, { model }) => {
    const lone = node.shape.length === 0 && op.data instanceof Float32Array;
    return lone ? model.scalar(op.data[0] ?? 0) : model.constant(op.data, node.shape);
  },
  neg: simple("Neg"),
  exp: simple("Exp"),
  log: simple("Log"),
  sqrt: simple("Sqrt"),
  reciprocal: simple("Reciprocal"),
  sigmoid: simple("Sigmoid"),
  tanh: simple("Tanh"),
  stopGradient: (_op, _node, inputs) => at(inputs, 0),
  custom: (_op, _node, inputs) => at(inputs, 0),
  add: simple("Add"),
  sub: simple("Sub"),
  mul: simple("Mul"),
  div: simple("Div"),
  equal: simple("Equal"),
  less: simple("Less"),
  where: simple("Where"),
  pow: (op, _node, inputs, { model }) =>
    model.emit("Pow", [at(inputs, 0), model.scalar(op.exponent)]),
  matmul: lowerMatmul,
  reduceSum: reduction("ReduceSum"),
  reduceMean: reduction("ReduceMean"),
  reduceMax: reduction("ReduceMax"),
  softmax: (_op, _node, inputs, { model }) => model.emit("Softmax", inputs, { axis: -1 }),
  reshape: (_op, node, inputs, { model }) =>
    model.emit("Reshape", [at(inputs, 0), model.int64s(node.shape)]),
  expand: (_op, node, inputs, { model }) =>
    model.emit("Expand", [at(inputs, 0), model.int64s(node.shape)]),
  transpose: (op, _node, inputs, { model }) =>
    model.emit("Transpose", inputs, { perm: op.permutation }),
  slice: (op, _node, inputs, { model }) => {
    const bounds = [model.int64s([op.start]), model.int64s([op.end]), model.int64s([op.axis])];
    return model.emit("Slice", [at(inputs, 0), ...bounds]);
  },
  pad: (op, node, inputs, { model }) => {
    const side = (amount: number): number[] =>
      node.shape.map((_, i) => (i === op.axis ? amount : 0));
    return model.emit("Pad", [
      at(inputs, 0),
      model.int64s([...side(op.before), ...side(op.after)]),
    ]);
  },
  concat: (op, _node, inputs, { model }) => model.emit("Concat", inputs, { axis: op.axis }),
  gather: (_op, _node, inputs, { model }) => model.emit("Gather", inputs, { axis: 0 }),
  scatterRows: lowerScatterRows,
  oneHot: (_op, node, inputs, context) => {
    const depth = node.shape.at(-1) ?? 0;
    assert(depth > 0, "a one-hot vector has a depth");
    return emitOneHot(context, at(inputs, 0), { shape: node.shape.slice(0, -1), depth });
  },
  cast: (_op, node, inputs, { model }) =>
    model.emit("Cast", inputs, { to: elementType(node.dtype) }),
  rope: lowerRope,
  rmsNormalize: lowerRmsNormalize,
  rmsInverse: lowerRmsInverse,
  layerNormalize: lowerLayerNormalize,
  layerInverse: lowerLayerInverse,
  dequantize: (op, node, inputs, { model, options, words }) => {
    const [packed] = node.inputs;
    const form = { halfFloats: options.halfFloats ?? true, words: !!packed && words.has(packed) };
    return emitDequantized(model, { op, node, inputs, ...form });
  },
};
