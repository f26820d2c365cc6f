// The tensor IR: immutable nodes with static shapes. A graph is the set of nodes that its outputs
// reach. It deliberately knows no runtime, no file format and no device.
import { ManyhandsError } from "@manyhands/base/errors";

/** Bytes and half floats are only how frozen weights are stored: see the operation dequantize. */
export type DType = "f32" | "i32" | "bool" | "u8" | "f16";
export type Shape = readonly number[];
export type ConstantData = Float32Array | Int32Array;
/** Half floats are given as their bits. */
export type TensorData = ConstantData | Uint8Array | Uint16Array;

/** How frozen weights are packed (quantize/formats.ts). */
export type PackedFormat = "f16" | "q8" | "q4" | "nf4" | "ternary";

export type UnaryKind =
  | "neg"
  | "exp"
  | "log"
  | "sqrt"
  | "reciprocal"
  | "sigmoid"
  | "tanh"
  | "stopGradient";
export type BinaryKind = "add" | "sub" | "mul" | "div";
export type CompareKind = "equal" | "less";
export type ReduceKind = "reduceSum" | "reduceMean" | "reduceMax";

/** The gradient of a custom node: from dy to one gradient per argument, undefined for none. */
export type CustomGradient = (dy: Tensor) => readonly (Tensor | undefined)[];

/** Every operation, with its attributes. Inputs are on the node. */
export type Op =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "constant"; readonly data: ConstantData }
  | { readonly kind: UnaryKind }
  | { readonly kind: BinaryKind }
  | { readonly kind: CompareKind }
  | { readonly kind: "pow"; readonly exponent: number }
  | MatmulOp
  | { readonly kind: ReduceKind; readonly axes: readonly number[]; readonly keepDims: boolean }
  | { readonly kind: "softmax" }
  | { readonly kind: "reshape" }
  | { readonly kind: "expand" }
  | { readonly kind: "transpose"; readonly permutation: readonly number[] }
  | { readonly kind: "slice"; readonly axis: number; readonly start: number; readonly end: number }
  | { readonly kind: "pad"; readonly axis: number; readonly before: number; readonly after: number }
  | { readonly kind: "concat"; readonly axis: number }
  | { readonly kind: "gather" }
  | { readonly kind: "scatterRows" }
  | { readonly kind: "oneHot" }
  | { readonly kind: "cast" }
  | { readonly kind: "where" }
  | { readonly kind: "rope" }
  | { readonly kind: "rmsNormalize"; readonly eps: number }
  | { readonly kind: "rmsInverse"; readonly eps: number }
  | { readonly kind: "layerNormalize"; readonly eps: number }
  | { readonly kind: "layerInverse"; readonly eps: number }
  | { readonly kind: "dequantize"; readonly format: PackedFormat; readonly block: number }
  | { readonly kind: "custom"; readonly gradient: CustomGradient };

export type MatmulOp = {
  readonly kind: "matmul";
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly scale: number;
};

export type OpKind = Op["kind"];

export type Tensor = {
  readonly op: Op;
  readonly inputs: readonly Tensor[];
  readonly shape: Shape;
  readonly dtype: DType;
};

/** Named outputs, and the named inputs that a run must feed. */
export type Graph = {
  readonly inputs: readonly Tensor[];
  readonly outputs: ReadonlyMap<string, Tensor>;
};

/** Shapes that do not fit an operation. Thrown while a graph is built, never while it runs. */
export class ShapeError extends ManyhandsError {
  override readonly name = "ShapeError";

  constructor(operation: string, rule: string, shapes: readonly Shape[]) {
    super(`${operation}: ${rule}; found ${shapes.map(shapeText).join(" and ")}`);
  }
}

/** "[2, 3]", for messages. */
export function shapeText(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** The number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((size, dim) => size * dim, 1);
}

/** Whether all dimensions are equal: [2] is not [2, 1]. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/**
 * The common shape of two operands: shapes align at the right, and a dimension of 1 stretches.
 *
 * @throws ShapeError if two aligned dimensions differ and neither is 1
 */
export function broadcastShapes(operation: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const dimA = a[axis - rank + a.length] ?? 1;
    const dimB = b[axis - rank + b.length] ?? 1;
    if (dimA !== dimB && dimA !== 1 && dimB !== 1) {
      throw new ShapeError(operation, "aligned dimensions must be equal or 1", [a, b]);
    }
    return dimA === 1 ? dimB : dimA;
  });
}

/** Every node that the outputs reach, inputs before users. */
export function topologicalOrder(outputs: Iterable<Tensor>): readonly Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  const stack: { node: Tensor; next: number }[] = [];
  for (const output of outputs) {
    if (!seen.has(output)) stack.push({ node: output, next: 0 });
    seen.add(output);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const child = top.node.inputs[top.next];
      top.next += 1;
      if (child === undefined) {
        order.push(top.node);
        stack.pop();
      } else if (!seen.has(child)) {
        seen.add(child);
        stack.push({ node: child, next: 0 });
      }
    }
  }
  return order;
}

/**
 * The graph of some named outputs. Its inputs are the input nodes that the outputs reach.
 *
 * @throws ShapeError if two input nodes share a name
 */
export function graphOf(outputs: Readonly<Record<string, Tensor>>): Graph {
  const named = new Map(Object.entries(outputs));
  const inputs = topologicalOrder(named.values()).filter((node) => node.op.kind === "input");
  const names = new Map<string, Tensor>();
  for (const input of inputs) {
    const name = inputName(input);
    const other = names.get(name);
    if (other) throw new ShapeError(name, "an input's name is unique", [other.shape, input.shape]);
    names.set(name, input);
  }
  return { inputs, outputs: named };
}

/** The name that a run feeds an input by; empty for any other node. */
export function inputName(node: Tensor): string {
  return node.op.kind === "input" ? node.op.name : "";
}
