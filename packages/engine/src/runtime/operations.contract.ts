// The contract of operations: PyTorch's value and gradient of every one, as checks that any runtime
// must pass. It deliberately knows no test runner: checks run in Node and in a page.
import { assert } from "@manyhands/base/assert";
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { type DType, graphOf, sameShape, type Tensor } from "../ir/tensor.ts";
import { causalAttention, crossEntropy, gelu, silu } from "../model/layers.ts";
import { type PackedTensor, relativeDistance, unpack } from "../vectors.ts";
import type { Runtime } from "./runtime.ts";

type Attributes = ir.MatmulOptions &
  ir.ReduceOptions & {
    readonly exponent: number;
    readonly axes: readonly number[];
    readonly axis: number;
    readonly shape: readonly number[];
    readonly permutation: readonly number[];
    readonly start: number;
    readonly end: number;
    readonly before: number;
    readonly after: number;
    readonly at: number;
    readonly rows: number;
    readonly depth: number;
    readonly dtype: DType;
    readonly eps: number;
  };

export type OperationCase = {
  readonly op: string;
  readonly attributes: Attributes;
  readonly inputs: readonly PackedTensor[];
  readonly output: PackedTensor;
  readonly cotangent?: PackedTensor;
  readonly gradients?: readonly (PackedTensor | null)[];
};

type Build = (inputs: readonly Tensor[], attributes: Attributes) => Tensor;
type Arity = (a: Tensor, b: Tensor, c: Tensor, d: Tensor) => Tensor;

function plain(build: Arity): Build {
  return (inputs) => build(...(inputs as [Tensor, Tensor, Tensor, Tensor]));
}

function first(build: (x: Tensor, attributes: Attributes) => Tensor): Build {
  return (inputs, attributes) => build(inputs[0] as Tensor, attributes);
}

const BUILDS: Readonly<Record<string, Build>> = {
  neg: plain(ir.neg),
  exp: plain(ir.exp),
  log: plain(ir.log),
  sqrt: plain(ir.sqrt),
  reciprocal: plain(ir.reciprocal),
  sigmoid: plain(ir.sigmoid),
  tanh: plain(ir.tanh),
  pow: first((x, { exponent }) => ir.pow(x, exponent)),
  stopGradient: plain((a, b) => ir.mul(ir.stopGradient(a), b)),
  add: plain(ir.add),
  sub: plain(ir.sub),
  mul: plain(ir.mul),
  div: plain(ir.div),
  equal: plain((a, b) => ir.cast(ir.equal(a, b), "i32")),
  less: plain((a, b) => ir.cast(ir.less(a, b), "i32")),
  where: plain((a, b, c, d) => ir.where(ir.less(a, b), c, d)),
  matmul: ([a, b], attributes) => ir.matmul(a as Tensor, b as Tensor, attributes),
  reduceSum: first((x, options) => ir.reduceSum(x, options.axes, options)),
  reduceMean: first((x, options) => ir.reduceMean(x, options.axes, options)),
  reduceMax: first((x, options) => ir.reduceMax(x, options.axes, options)),
  softmax: plain(ir.softmax),
  reshape: first((x, { shape }) => ir.reshape(x, shape)),
  expand: first((x, { shape }) => ir.expand(x, shape)),
  transpose: first((x, { permutation }) => ir.transpose(x, permutation)),
  slice: first((x, { axis, start, end }) => ir.slice(x, axis, start, end)),
  pad: first((x, { axis, before, after }) => ir.pad(x, axis, before, after)),
  concat: (inputs, { axis }) => ir.concat(inputs, axis),
  splitConcat: first((x, { axis, at }) => {
    const doubled = ir.mul(ir.slice(x, axis, at, x.shape[axis] ?? 0), ir.scalar(2));
    return ir.concat([doubled, ir.slice(x, axis, 0, at)], axis);
  }),
  gather: plain(ir.gather),
  scatterRows: ([ids, dy], { rows }) => ir.scatterRows(ids as Tensor, dy as Tensor, rows),
  oneHot: first((ids, { depth }) => ir.oneHot(ids, depth)),
  cast: first((x, { dtype }) => ir.cast(x, dtype)),
  rope: plain(ir.rope),
  rmsNormalize: ([x, gain], { eps }) => ir.rmsNormalize(x as Tensor, gain as Tensor, eps),
  rmsInverse: first((x, { eps }) => ir.rmsInverse(x, eps)),
  layerNormalize: ([x, gain, bias], { eps }) =>
    ir.layerNormalize(x as Tensor, { gain: gain as Tensor, bias: bias as Tensor }, eps),
  layerInverse: first((x, { eps }) => ir.layerInverse(x, eps)),
  silu: plain(silu),
  gelu: plain(gelu),
  attention: plain((q, k, v) => {
    const [batch = 1, heads = 1, time = 1, width = 1] = q.shape;
    const grouped = ir.reshape(q, [batch, k.shape[1] ?? 1, heads / (k.shape[1] ?? 1), time, width]);
    return ir.reshape(causalAttention(grouped, { key: k, value: v }), q.shape);
  }),
  crossEntropy: plain(crossEntropy),
};

/** float32 arithmetic on a few dozen numbers. */
const DISTANCE_MAX = 4e-6;

/** @throws AssertionError if the value or a gradient is off */
export async function checkOperation(
  runtime: Runtime,
  entry: OperationCase,
  distanceMax = DISTANCE_MAX,
): Promise<void> {
  const inputs = entry.inputs.map(({ shape, dtype }, i) => ir.input(`x${i}`, shape, dtype));
  const build = BUILDS[entry.op];
  assert(build, `the test knows ${entry.op}`);
  const y = build(inputs, entry.attributes);
  assert(sameShape(y.shape, entry.output.shape), "shape");
  const outputs: Record<string, Tensor> = { y: ir.cast(y, "f32") };
  if (entry.cotangent) {
    const cotangent = ir.constant(unpack(entry.cotangent), entry.cotangent.shape);
    const axes = y.shape.map((_, axis) => axis);
    const loss = ir.reduceSum(ir.mul(y, cotangent), axes);
    gradients(loss, inputs).forEach((dx, i) => {
      if (entry.gradients?.[i]) outputs[`dx${i}`] = dx;
    });
  }
  const executable = await runtime.compile(graphOf(outputs));
  const feeds = Object.fromEntries(entry.inputs.map((x, i) => [`x${i}`, unpack(x)]));
  const results = await executable.run(feeds);
  await executable.dispose();
  const distance = relativeDistance(results["y"] ?? [], unpack(entry.output));
  assert(distance < distanceMax, `the value is off by ${distance}`);
  entry.gradients?.forEach((expected, i) => {
    if (expected === null) return;
    const distance = relativeDistance(results[`dx${i}`] ?? [], unpack(expected));
    assert(distance < distanceMax, `gradient ${i} is off by ${distance}`);
  });
}

export type OperationVectors = { readonly cases: readonly OperationCase[] };

/** A case in words. */
export function titleOf({ op, attributes, inputs }: OperationCase): string {
  const shapes = inputs.map((x) => `[${x.shape.join(",")}]`).join(" ");
  return `${op} ${shapes} ${JSON.stringify(attributes)}`;
}
