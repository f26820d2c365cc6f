// One rule per operation: from the gradient of its output to the gradients of its inputs, as IR.
// Rules build nodes; they compute nothing.
import { defined } from "@manyhands/base/assert";
import * as ir from "../ir/ops.ts";
import { type Op, type OpKind, type Shape, sameShape, sizeOf, type Tensor } from "../ir/tensor.ts";

type OpOf<K extends OpKind> = Op & { readonly kind: K };
type Gradients = readonly (Tensor | undefined)[];
type Rule<K extends OpKind> = (op: OpOf<K>, y: Tensor, dy: Tensor) => Gradients;
type Rules = { readonly [K in OpKind]: Rule<K> };

function arg(y: Tensor, index: number): Tensor {
  return defined(y.inputs[index], `${y.op.kind} has an input ${index}`);
}

/** dy summed over the axes that broadcasting stretched, so that it has the operand's shape. */
function sumTo(dy: Tensor, shape: Shape): Tensor {
  if (sameShape(dy.shape, shape)) return dy;
  const lead = dy.shape.length - shape.length;
  const axes = dy.shape.flatMap((dim, axis) =>
    axis < lead || (shape[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  return ir.reshape(axes.length === 0 ? dy : ir.reduceSum(dy, axes), shape);
}

/** A reduced gradient with its axes back as 1, so that it broadcasts against the input. */
function unreduce(dy: Tensor, axes: readonly number[], shape: Shape): Tensor {
  return ir.reshape(
    dy,
    shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim)),
  );
}

const none = (): Gradients => [];

const matmulRule: Rule<"matmul"> = (op, y, dy) => {
  const [a, b] = [arg(y, 0), arg(y, 1)];
  const { transposeA: tA, transposeB: tB, scale } = op;
  const da = tA
    ? ir.matmul(b, dy, { transposeA: tB, transposeB: true, scale })
    : ir.matmul(dy, b, { transposeB: !tB, scale });
  const db = tB
    ? ir.matmul(dy, a, { transposeA: true, transposeB: tA, scale })
    : ir.matmul(a, dy, { transposeA: !tA, scale });
  return [sumTo(da, a.shape), sumTo(db, b.shape)];
};

/** With n = x·r and t = dy·gain: dx = r (t − n · mean(t·n)), dgain = Σ dy·n. */
const rmsNormalizeRule: Rule<"rmsNormalize"> = (op, y, dy) => {
  const [x, gain] = [arg(y, 0), arg(y, 1)];
  const width = sizeOf(gain.shape);
  const inverse = ir.rmsInverse(x, op.eps);
  const normalized = ir.mul(x, inverse);
  const product = ir.mul(dy, normalized);
  const mean = ir.matmul(product, ir.reshape(gain, [width, 1]), { scale: 1 / width });
  const inner = ir.sub(ir.mul(dy, gain), ir.mul(normalized, mean));
  return [ir.mul(inner, inverse), sumTo(product, gain.shape)];
};

/** y = 1/√(m + eps): dx = −dy · y³ · x / C. */
const rmsInverseRule: Rule<"rmsInverse"> = (_op, y, dy) => {
  const x = arg(y, 0);
  const width = x.shape.at(-1) ?? 1;
  return [ir.mul(x, ir.mul(dy, ir.mul(ir.pow(y, 3), ir.scalar(-1 / width))))];
};

/**
 * With n = (x − mean) · r and t = dy·gain: dx = r (t − mean(t) − n · mean(t·n)), dgain = Σ dy·n,
 * dbias = Σ dy.
 */
const layerNormalizeRule: Rule<"layerNormalize"> = (op, y, dy) => {
  const [x, gain, bias] = [arg(y, 0), arg(y, 1), arg(y, 2)];
  const width = sizeOf(gain.shape);
  const plain = {
    gain: ir.constant(new Float32Array(width).fill(1), gain.shape),
    bias: ir.constant(new Float32Array(width), bias.shape),
  };
  const normalized = ir.layerNormalize(x, plain, op.eps);
  const product = ir.mul(dy, normalized);
  const column = ir.reshape(gain, [width, 1]);
  const mean = ir.matmul(dy, column, { scale: 1 / width });
  const slope = ir.matmul(product, column, { scale: 1 / width });
  const shift = ir.add(ir.mul(normalized, slope), mean);
  const dx = ir.mul(ir.sub(ir.mul(dy, gain), shift), ir.layerInverse(x, op.eps));
  return [dx, sumTo(product, gain.shape), sumTo(dy, bias.shape)];
};

/** y = 1/√(v + eps): dx = −dy · y³ · (x − mean) / C. */
const layerInverseRule: Rule<"layerInverse"> = (_op, y, dy) => {
  const x = arg(y, 0);
  const width = x.shape.at(-1) ?? 1;
  const centred = ir.sub(x, ir.reduceMean(x, [-1], { keepDims: true }));
  return [ir.mul(centred, ir.mul(dy, ir.mul(ir.pow(y, 3), ir.scalar(-1 / width))))];
};

/** The gradient goes to the greatest elements, in equal shares. */
const reduceMaxRule: Rule<"reduceMax"> = (op, y, dy) => {
  const x = arg(y, 0);
  const hit = ir.cast(ir.equal(x, unreduce(y, op.axes, x.shape)), "f32");
  const count = ir.reduceSum(hit, op.axes, { keepDims: true });
  return [ir.mul(hit, ir.div(unreduce(dy, op.axes, x.shape), count))];
};

const softmaxRule: Rule<"softmax"> = (_op, y, dy) => {
  const mean = ir.reduceSum(ir.mul(dy, y), [-1], { keepDims: true });
  return [ir.mul(y, ir.sub(dy, mean))];
};

const concatRule: Rule<"concat"> = (op, y, dy) => {
  let start = 0;
  return y.inputs.map((part) => {
    const end = start + (part.shape[op.axis] ?? 0);
    const dpart = ir.slice(dy, op.axis, start, end);
    start = end;
    return dpart;
  });
};

function inverted(permutation: readonly number[]): readonly number[] {
  return permutation.map((_, axis) => permutation.indexOf(axis));
}

/** From y and its gradient dy to the gradients of its inputs; undefined: none flows there. */
export const RULES: Rules = {
  input: none,
  constant: none,
  stopGradient: none,
  equal: none,
  less: none,
  oneHot: none,
  dequantize: none,
  neg: (_op, _y, dy) => [ir.neg(dy)],
  exp: (_op, y, dy) => [ir.mul(dy, y)],
  log: (_op, y, dy) => [ir.div(dy, arg(y, 0))],
  sqrt: (_op, y, dy) => [ir.div(ir.mul(dy, ir.scalar(0.5)), y)],
  reciprocal: (_op, y, dy) => [ir.neg(ir.mul(dy, ir.mul(y, y)))],
  sigmoid: (_op, y, dy) => [ir.mul(dy, ir.sub(y, ir.mul(y, y)))],
  tanh: (_op, y, dy) => [ir.sub(dy, ir.mul(dy, ir.mul(y, y)))],
  pow: (op, y, dy) => {
    const slope = ir.mul(ir.pow(arg(y, 0), op.exponent - 1), ir.scalar(op.exponent));
    return [ir.mul(dy, slope)];
  },
  add: (_op, y, dy) => [sumTo(dy, arg(y, 0).shape), sumTo(dy, arg(y, 1).shape)],
  sub: (_op, y, dy) => [sumTo(dy, arg(y, 0).shape), sumTo(ir.neg(dy), arg(y, 1).shape)],
  mul: (_op, y, dy) => {
    const [a, b] = [arg(y, 0), arg(y, 1)];
    return [sumTo(ir.mul(dy, b), a.shape), sumTo(ir.mul(dy, a), b.shape)];
  },
  div: (_op, y, dy) => {
    const [a, b] = [arg(y, 0), arg(y, 1)];
    const da = ir.div(dy, b);
    return [sumTo(da, a.shape), sumTo(ir.neg(ir.mul(da, y)), b.shape)];
  },
  matmul: matmulRule,
  reduceSum: (op, y, dy) => {
    const { shape } = arg(y, 0);
    return [ir.expand(unreduce(dy, op.axes, shape), shape)];
  },
  reduceMean: (op, y, dy) => {
    const { shape } = arg(y, 0);
    const count = sizeOf(shape) / sizeOf(y.shape);
    return [ir.expand(unreduce(ir.mul(dy, ir.scalar(1 / count)), op.axes, shape), shape)];
  },
  reduceMax: reduceMaxRule,
  softmax: softmaxRule,
  reshape: (_op, y, dy) => [ir.reshape(dy, arg(y, 0).shape)],
  expand: (_op, y, dy) => [sumTo(dy, arg(y, 0).shape)],
  transpose: (op, _y, dy) => [ir.transpose(dy, inverted(op.permutation))],
  slice: (op, y, dy) => {
    const dim = arg(y, 0).shape[op.axis] ?? 0;
    return [ir.pad(dy, op.axis, op.start, dim - op.end)];
  },
  pad: (op, y, dy) => {
    const dim = arg(y, 0).shape[op.axis] ?? 0;
    return [ir.slice(dy, op.axis, op.before, op.before + dim)];
  },
  concat: concatRule,
  gather: (_op, y, dy) => [ir.scatterRows(arg(y, 1), dy, arg(y, 0).shape[0] ?? 0), undefined],
  scatterRows: (_op, y, dy) => [undefined, ir.gather(dy, arg(y, 0))],
  cast: (_op, y, dy) => [arg(y, 0).dtype === "f32" ? dy : undefined],
  where: (_op, y, dy) => {
    const [condition, a, b] = [arg(y, 0), arg(y, 1), arg(y, 2)];
    const zero = ir.scalar(0);
    const da = sumTo(ir.where(condition, dy, zero), a.shape);
    return [undefined, da, sumTo(ir.where(condition, zero, dy), b.shape)];
  },
  rope: (_op, y, dy) => [ir.rope(dy, arg(y, 1), ir.neg(arg(y, 2))), undefined, undefined],
  rmsNormalize: rmsNormalizeRule,
  rmsInverse: rmsInverseRule,
  layerNormalize: layerNormalizeRule,
  layerInverse: layerInverseRule,
  custom: (op, _y, dy) => [undefined, ...op.gradient(dy)],
};
