// The functions that build IR nodes: each infers the shape of its result, or says why it cannot.
// Nothing is computed here.
import {
  type BinaryKind,
  broadcastShapes,
  type ConstantData,
  type CustomGradient,
  type DType,
  type PackedFormat,
  type ReduceKind,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
  type Tensor,
  type UnaryKind,
} from "./tensor.ts";

function node(op: Tensor["op"], inputs: readonly Tensor[], shape: Shape, dtype?: DType): Tensor {
  return { op, inputs, shape, dtype: dtype ?? inputs[0]?.dtype ?? "f32" };
}

/** A value that a run feeds under this name. */
export function input(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
  return node({ kind: "input", name }, [], shape, dtype);
}

/**
 * A value that is part of the graph, row by row. Whoever builds the graph must not change it.
 *
 * @throws ShapeError if the data does not fill the shape
 */
export function constant(data: ConstantData, shape: Shape): Tensor {
  if (sizeOf(shape) !== data.length) {
    throw new ShapeError("constant", `${data.length} elements must fill the shape`, [shape]);
  }
  return node({ kind: "constant", data }, [], shape, data instanceof Int32Array ? "i32" : "f32");
}

/** A number as f32 [], which broadcasts to any shape. */
export function scalar(value: number): Tensor {
  return constant(Float32Array.of(value), []);
}

function unary(kind: UnaryKind, x: Tensor): Tensor {
  return node({ kind }, [x], x.shape);
}

/** −x, as all below element by element: [...] → [...]. */
export const neg = (x: Tensor): Tensor => unary("neg", x);
/** e^x */
export const exp = (x: Tensor): Tensor => unary("exp", x);
/** ln x */
export const log = (x: Tensor): Tensor => unary("log", x);
/** √x */
export const sqrt = (x: Tensor): Tensor => unary("sqrt", x);
/** 1 / x */
export const reciprocal = (x: Tensor): Tensor => unary("reciprocal", x);
/** 1 / (1 + e^−x) */
export const sigmoid = (x: Tensor): Tensor => unary("sigmoid", x);
/** (e^x − e^−x) / (e^x + e^−x) */
export const tanh = (x: Tensor): Tensor => unary("tanh", x);
/** x itself, through which no gradient flows. */
export const stopGradient = (x: Tensor): Tensor => unary("stopGradient", x);

/** x^exponent, element by element. */
export function pow(x: Tensor, exponent: number): Tensor {
  return node({ kind: "pow", exponent }, [x], x.shape);
}

function binary(kind: BinaryKind, a: Tensor, b: Tensor): Tensor {
  if (a.dtype !== b.dtype) {
    throw new ShapeError(kind, `types must be equal, not ${a.dtype}, ${b.dtype}`, [
      a.shape,
      b.shape,
    ]);
  }
  return node({ kind }, [a, b], broadcastShapes(kind, a.shape, b.shape));
}

/**
 * a + b, as the three below element by element with broadcasting.
 *
 * @throws ShapeError if the shapes do not broadcast, or the types differ
 */
export const add = (a: Tensor, b: Tensor): Tensor => binary("add", a, b);
/** a − b */
export const sub = (a: Tensor, b: Tensor): Tensor => binary("sub", a, b);
/** a · b */
export const mul = (a: Tensor, b: Tensor): Tensor => binary("mul", a, b);
/** a / b */
export const div = (a: Tensor, b: Tensor): Tensor => binary("div", a, b);

/** a = b, element by element with broadcasting, as bool. @throws ShapeError as add */
export function equal(a: Tensor, b: Tensor): Tensor {
  return node({ kind: "equal" }, [a, b], broadcastShapes("equal", a.shape, b.shape), "bool");
}

/** a < b, element by element with broadcasting, as bool. @throws ShapeError as add */
export function less(a: Tensor, b: Tensor): Tensor {
  return node({ kind: "less" }, [a, b], broadcastShapes("less", a.shape, b.shape), "bool");
}

/**
 * condition ? a : b, element by element, with broadcasting.
 *
 * @throws ShapeError if the condition is not bool, or shapes do not broadcast
 */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  if (condition.dtype !== "bool") {
    throw new ShapeError("where", "the condition is bool", [condition.shape]);
  }
  const shape = broadcastShapes(
    "where",
    condition.shape,
    broadcastShapes("where", a.shape, b.shape),
  );
  return node({ kind: "where" }, [condition, a, b], shape, a.dtype);
}

export type MatmulOptions = {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly scale?: number;
};

/**
 * scale · op(a) · op(b): [..., M, K] × [..., K, N] → [..., M, N], the leading axes broadcast; op
 * swaps the last two axes where it is asked to.
 *
 * @throws ShapeError if the inner dimensions differ, or a side has less than two axes
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, scale = 1 } = options;
  const [rows, inner] = lastTwo(a.shape, transposeA);
  const [innerB, columns] = lastTwo(b.shape, transposeB);
  if (inner !== innerB || rows === undefined || columns === undefined) {
    const sides = `${transposeA ? "aᵀ" : "a"} · ${transposeB ? "bᵀ" : "b"}`;
    throw new ShapeError("matmul", `inner dimensions of ${sides} must agree`, [a.shape, b.shape]);
  }
  const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  const op = { kind: "matmul", transposeA, transposeB, scale } as const;
  return node(op, [a, b], [...batch, rows, columns]);
}

function lastTwo(shape: Shape, swap: boolean): readonly (number | undefined)[] {
  const pair = [shape.at(-2), shape.at(-1)];
  if (shape.length < 2) throw new ShapeError("matmul", "both sides have two axes or more", [shape]);
  return swap ? pair.reverse() : pair;
}

export type ReduceOptions = { readonly keepDims?: boolean };

function reduce(
  kind: ReduceKind,
  x: Tensor,
  axes: readonly number[],
  options: ReduceOptions,
): Tensor {
  const keepDims = options.keepDims ?? false;
  const resolved = axes.map((axis) => axisOf(kind, x.shape, axis));
  if (new Set(resolved).size !== resolved.length) {
    throw new ShapeError(kind, `axes ${axes.join(", ")} repeat`, [x.shape]);
  }
  const shape = x.shape.flatMap((dim, axis) => {
    if (!resolved.includes(axis)) return [dim];
    return keepDims ? [1] : [];
  });
  return node({ kind, axes: resolved, keepDims }, [x], shape);
}

/**
 * Σ x over some axes, which disappear or, with keepDims, stay as 1. Negative axes count from the
 * end.
 *
 * @throws ShapeError if there is no such axis, or one repeats
 */
export function reduceSum(x: Tensor, axes: readonly number[], options: ReduceOptions = {}): Tensor {
  return reduce("reduceSum", x, axes, options);
}

/** Σ x / n over n elements along some axes; axes and errors as reduceSum. */
export function reduceMean(
  x: Tensor,
  axes: readonly number[],
  options: ReduceOptions = {},
): Tensor {
  return reduce("reduceMean", x, axes, options);
}

/** The largest x along some axes; axes and errors as reduceSum. */
export function reduceMax(x: Tensor, axes: readonly number[], options: ReduceOptions = {}): Tensor {
  return reduce("reduceMax", x, axes, options);
}

/** e^x / Σ e^x over the last axis. */
export function softmax(x: Tensor): Tensor {
  if (x.shape.length === 0) throw new ShapeError("softmax", "needs an axis", [x.shape]);
  return node({ kind: "softmax" }, [x], x.shape);
}

/** The same elements in the same order under another shape. @throws ShapeError if sizes differ */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (sizeOf(shape) !== sizeOf(x.shape)) {
    throw new ShapeError("reshape", "sizes must be equal", [x.shape, shape]);
  }
  return sameShape(x.shape, shape) ? x : node({ kind: "reshape" }, [x], shape);
}

/** x stretched to a shape that it broadcasts to. @throws ShapeError if it does not */
export function expand(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes("expand", x.shape, shape), shape)) {
    throw new ShapeError("expand", "the first shape must broadcast to the second", [
      x.shape,
      shape,
    ]);
  }
  return node({ kind: "expand" }, [x], shape);
}

/** Output axis i is input axis permutation[i]. @throws ShapeError if that is no permutation */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  const valid = permutation.length === x.shape.length;
  if (!valid || !x.shape.every((_, axis) => permutation.includes(axis))) {
    throw new ShapeError("transpose", `[${permutation.join(", ")}] must permute the axes`, [
      x.shape,
    ]);
  }
  const shape = permutation.map((axis) => x.shape[axis] ?? 1);
  return node({ kind: "transpose", permutation }, [x], shape);
}

/** Elements start … end − 1 of one axis. @throws ShapeError if there are none, or not all */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = axisOf("slice", x.shape, axis);
  const dim = x.shape[at] ?? 0;
  if (!(0 <= start && start < end && end <= dim)) {
    throw new ShapeError("slice", `[${start}, ${end}) must lie in axis ${at}`, [x.shape]);
  }
  if (start === 0 && end === dim) return x;
  const shape = x.shape.map((size, i) => (i === at ? end - start : size));
  return node({ kind: "slice", axis: at, start, end }, [x], shape);
}

/** Zeros before and after, along one axis. @throws ShapeError if there is no such axis */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  const at = axisOf("pad", x.shape, axis);
  const shape = x.shape.map((size, i) => (i === at ? before + size + after : size));
  return node({ kind: "pad", axis: at, before, after }, [x], shape);
}

/**
 * Parts one after the other along an axis: [..., A, ...] and [..., B, ...] → [..., A + B, ...].
 *
 * @throws ShapeError if the parts differ in another axis
 */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  if (first === undefined) throw new ShapeError("concat", "needs one part or more", []);
  const at = axisOf("concat", first.shape, axis);
  const shapes = parts.map((part) => part.shape);
  const fits = (shape: Shape): boolean =>
    shape.length === first.shape.length && shape.every((d, i) => i === at || d === first.shape[i]);
  if (!shapes.every(fits)) {
    throw new ShapeError("concat", `shapes may differ in axis ${at} only`, shapes);
  }
  const total = shapes.reduce((sum, shape) => sum + (shape[at] ?? 0), 0);
  const shape = first.shape.map((size, i) => (i === at ? total : size));
  return parts.length === 1 ? first : node({ kind: "concat", axis: at }, parts, shape);
}

/**
 * Rows of a table: table [V, C], ids [...] of i32 → [..., C]. Ids are 0 … V − 1; a runtime may
 * refuse others only when it runs.
 *
 * @throws ShapeError if the table has not two axes, or ids are not i32
 */
export function gather(table: Tensor, ids: Tensor): Tensor {
  if (table.shape.length !== 2 || ids.dtype !== "i32") {
    throw new ShapeError("gather", "a table [V, C] and i32 ids", [table.shape, ids.shape]);
  }
  return node({ kind: "gather" }, [table, ids], [...ids.shape, table.shape[1] ?? 1]);
}

/**
 * gather's gradient: row v of the result is the sum of the rows of dy whose id is v: ids [...] of
 * i32, dy [..., C] → [rows, C].
 *
 * @throws ShapeError if dy has not one row per id
 */
export function scatterRows(ids: Tensor, dy: Tensor, rows: number): Tensor {
  if (!sameShape(dy.shape.slice(0, -1), ids.shape) || ids.dtype !== "i32") {
    throw new ShapeError("scatterRows", "i32 ids [...] and dy [..., C]", [ids.shape, dy.shape]);
  }
  return node({ kind: "scatterRows" }, [ids, dy], [rows, dy.shape.at(-1) ?? 1], "f32");
}

/** 1 where the last axis' index is the id, else 0: ids [...] → [..., depth]. */
export function oneHot(ids: Tensor, depth: number): Tensor {
  if (ids.dtype !== "i32") throw new ShapeError("oneHot", "ids are i32", [ids.shape]);
  return node({ kind: "oneHot" }, [ids], [...ids.shape, depth], "f32");
}

/** x as another type; bool becomes 0 and 1. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : node({ kind: "cast" }, [x], x.shape, dtype);
}

/**
 * Rotary position embedding in the half-split layout of Hugging Face: with x = [x₁ | x₂] along D,
 * y = [x₁ cos − x₂ sin | x₂ cos + x₁ sin].
 *
 * @param x   [B, H, T, D]
 * @param cos [T, D/2], and sin alike
 * @throws    ShapeError if the shapes are others
 * @source    Su et al. 2021, "RoFormer"
 */
export function rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [, , time, width] = x.shape;
  const half = [time ?? 0, (width ?? 0) / 2];
  if (x.shape.length !== 4 || !sameShape(cos.shape, half) || !sameShape(sin.shape, half)) {
    throw new ShapeError("rope", "x [B, H, T, D], tables [T, D/2]", [
      x.shape,
      cos.shape,
      sin.shape,
    ]);
  }
  return node({ kind: "rope" }, [x, cos, sin], x.shape);
}

/**
 * x · gain / √(mean(x²) + eps) over the last axis: x [..., C], gain [C].
 *
 * @throws ShapeError if the gain is not as wide as x
 * @source Zhang and Sennrich 2019, "Root mean square layer normalization"
 */
export function rmsNormalize(x: Tensor, gain: Tensor, eps: number): Tensor {
  if (!sameShape(gain.shape, x.shape.slice(-1))) {
    throw new ShapeError("rmsNormalize", "x [..., C] and gain [C]", [x.shape, gain.shape]);
  }
  return node({ kind: "rmsNormalize", eps }, [x, gain], x.shape);
}

/** 1 / √(mean(x²) + eps) over the last axis: [..., C] → [..., 1]. */
export function rmsInverse(x: Tensor, eps: number): Tensor {
  return node({ kind: "rmsInverse", eps }, [x], [...x.shape.slice(0, -1), 1]);
}

/**
 * (x − mean(x)) · gain / √(variance(x) + eps) + bias over the last axis: x [..., C], gain and bias
 * [C]. The variance is that of the whole population.
 *
 * @throws ShapeError if gain or bias is not as wide as x
 * @source Ba et al. 2016, "Layer normalization"
 */
export function layerNormalize(
  x: Tensor,
  { gain, bias }: { readonly gain: Tensor; readonly bias: Tensor },
  eps: number,
): Tensor {
  const width = x.shape.slice(-1);
  if (!sameShape(gain.shape, width) || !sameShape(bias.shape, width)) {
    const shapes = [x.shape, gain.shape, bias.shape];
    throw new ShapeError("layerNormalize", "x [..., C], gain [C] and bias [C]", shapes);
  }
  return node({ kind: "layerNormalize", eps }, [x, gain, bias], x.shape);
}

/** 1 / √(variance(x) + eps) over the last axis: [..., C] → [..., 1]. */
export function layerInverse(x: Tensor, eps: number): Tensor {
  return node({ kind: "layerInverse", eps }, [x], [...x.shape.slice(0, -1), 1]);
}

export type PackedMatrix = {
  readonly format: PackedFormat;
  /** Weights that share a scale. */
  readonly block: number;
  /** As quantize/formats.ts packs them: f16 [R, C]; q8, q4 [R, C/block, …]; others [bytes]. */
  readonly packed: Tensor;
  /** One per block, or one for a ternary matrix; f16 has none. */
  readonly scales?: Tensor | undefined;
};

/** A packed matrix as f32 [R, C]. Nothing has a gradient through it: what is packed is frozen. */
export function dequantize(matrix: PackedMatrix, shape: Shape): Tensor {
  const { format, block, packed, scales } = matrix;
  if (packed.dtype !== (format === "f16" ? "f16" : "u8") || (format !== "f16") !== !!scales) {
    throw new ShapeError("dequantize", `${format} has no such parts`, [packed.shape]);
  }
  const inputs = scales ? [packed, scales] : [packed];
  return node({ kind: "dequantize", format, block }, inputs, shape, "f32");
}

/**
 * The first argument, whose gradient goes by the given rule to the other arguments, and not through
 * the nodes that computed it. y [...] → [...]; the rule gets dy [...] and answers with one gradient
 * per argument, of the argument's shape.
 */
export function withGradient(y: Tensor, args: readonly Tensor[], gradient: CustomGradient): Tensor {
  return node({ kind: "custom", gradient }, [y, ...args], y.shape);
}

function axisOf(operation: string, shape: Shape, axis: number): number {
  const resolved = axis < 0 ? axis + shape.length : axis;
  if (!(Number.isInteger(resolved) && resolved >= 0 && resolved < shape.length)) {
    throw new ShapeError(operation, `there is no axis ${axis}`, [shape]);
  }
  return resolved;
}
