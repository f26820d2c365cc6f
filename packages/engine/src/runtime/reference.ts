// tidy-ignore dead-file: it is the judge of the fast runtime, in tests only.
// The reference: every operation as the plainest loop that is correct. It judges the fast runtime
// in tests. It is deliberately slow and clever nowhere.
import { assert, defined } from "@manyhands/base/assert";
import {
  type Graph,
  inputName,
  type Op,
  type OpKind,
  type Shape,
  sizeOf,
  type Tensor,
  type TensorData,
  topologicalOrder,
} from "../ir/tensor.ts";
import { unpackInto } from "../quantize/formats.ts";
import type { Executable, Feeds, Runtime } from "./runtime.ts";

/** bool values are 0 and 1 in an Int32Array. */
type Value = { readonly data: TensorData; readonly shape: Shape };
type OpOf<K extends OpKind> = Op & { readonly kind: K };
type Rule<K extends OpKind> = (op: OpOf<K>, node: Tensor, inputs: readonly Value[]) => TensorData;
type Rules = { readonly [K in OpKind]: Rule<K> };
type Coordinates = readonly number[];

function at(inputs: readonly Value[], index: number): Value {
  return defined(inputs[index], `there is an input ${index}`);
}

function coordinatesOf(index: number, shape: Shape): Coordinates {
  let rest = index;
  return shape
    .toReversed()
    .map((dim) => {
      const coordinate = rest % dim;
      rest = Math.floor(rest / dim);
      return coordinate;
    })
    .reverse();
}

/** The element at some coordinates; axes align at the right, and an axis of 1 has only place 0. */
function read({ data, shape }: Value, coordinates: Coordinates): number {
  let index = 0;
  shape.forEach((dim, axis) => {
    const coordinate = coordinates[axis + coordinates.length - shape.length] ?? 0;
    index = index * dim + (dim === 1 ? 0 : coordinate);
  });
  return defined(data[index], "coordinates lie inside the shape");
}

/** Fills a result element by element. */
function build(node: Tensor, element: (at: Coordinates) => number): TensorData {
  const size = sizeOf(node.shape);
  const data = node.dtype === "f32" ? new Float32Array(size) : new Int32Array(size);
  for (let i = 0; i < size; i++) data[i] = element(coordinatesOf(i, node.shape));
  return data;
}

function map<K extends OpKind>(f: (x: number, op: OpOf<K>) => number): Rule<K> {
  return (op, node, inputs) => build(node, (place) => f(read(at(inputs, 0), place), op));
}

function zip<K extends OpKind>(f: (a: number, b: number) => number): Rule<K> {
  return (_op, node, inputs) =>
    build(node, (place) => f(read(at(inputs, 0), place), read(at(inputs, 1), place)));
}

function reduction<K extends "reduceSum" | "reduceMean" | "reduceMax">(
  start: number,
  combine: (sum: number, x: number) => number,
  finish: (sum: number, count: number) => number,
): Rule<K> {
  return (op, node, inputs) => {
    const x = at(inputs, 0);
    const kept = x.shape.map((dim, axis) => (op.axes.includes(axis) ? 1 : dim));
    const sums = new Float64Array(sizeOf(kept)).fill(start);
    for (let i = 0; i < x.data.length; i++) {
      let target = 0;
      coordinatesOf(i, x.shape).forEach((coordinate, axis) => {
        target = target * (kept[axis] ?? 1) + (op.axes.includes(axis) ? 0 : coordinate);
      });
      sums[target] = combine(sums[target] ?? 0, x.data[i] ?? 0);
    }
    const count = x.data.length / sizeOf(node.shape);
    return Float32Array.from(sums, (sum) => finish(sum, count));
  };
}

const matmulRule: Rule<"matmul"> = (op, node, inputs) => {
  const [a, b] = [at(inputs, 0), at(inputs, 1)];
  const inner = a.shape.at(op.transposeA ? -2 : -1) ?? 0;
  return build(node, (place) => {
    const batch = place.slice(0, -2);
    const [row = 0, column = 0] = place.slice(-2);
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      const left = read(a, [...batch, ...(op.transposeA ? [k, row] : [row, k])]);
      sum += left * read(b, [...batch, ...(op.transposeB ? [column, k] : [k, column])]);
    }
    return sum * op.scale;
  });
};

const softmaxRule: Rule<"softmax"> = (_op, node, inputs) => {
  const x = at(inputs, 0);
  const width = x.shape.at(-1) ?? 1;
  return build(node, (place) => {
    const row = Array.from({ length: width }, (_, i) => read(x, place.with(-1, i)));
    const max = Math.max(...row);
    const sum = row.reduce((total, value) => total + Math.exp(value - max), 0);
    return Math.exp(read(x, place) - max) / sum;
  });
};

const ropeRule: Rule<"rope"> = (_op, node, inputs) => {
  const [x, cos, sin] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
  const half = (node.shape.at(-1) ?? 0) / 2;
  return build(node, (place) => {
    const [time = 0, i = 0] = place.slice(-2);
    const table = [time, i % half];
    const other = read(x, place.with(-1, i < half ? i + half : i - half));
    const turned = (i < half ? -1 : 1) * other * read(sin, table);
    return read(x, place) * read(cos, table) + turned;
  });
};

function inverseRms(x: Value, place: Coordinates, eps: number): number {
  const width = x.shape.at(-1) ?? 1;
  let sum = 0;
  for (let i = 0; i < width; i++) sum += read(x, place.with(-1, i)) ** 2;
  return 1 / Math.sqrt(sum / width + eps);
}

/** Of the last axis at a place: the mean, and 1 / √(variance + eps). */
function statistics(x: Value, place: Coordinates, eps: number): { mean: number; inverse: number } {
  const width = x.shape.at(-1) ?? 1;
  let sum = 0;
  for (let i = 0; i < width; i++) sum += read(x, place.with(-1, i));
  const mean = sum / width;
  let squares = 0;
  for (let i = 0; i < width; i++) squares += (read(x, place.with(-1, i)) - mean) ** 2;
  return { mean, inverse: 1 / Math.sqrt(squares / width + eps) };
}

const layerNormalizeRule: Rule<"layerNormalize"> = (op, node, inputs) => {
  const [x, gain, bias] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
  return build(node, (place) => {
    const { mean, inverse } = statistics(x, place, op.eps);
    return (read(x, place) - mean) * inverse * read(gain, place) + read(bias, place);
  });
};

const scatterRowsRule: Rule<"scatterRows"> = (_op, node, inputs) => {
  const [ids, dy] = [at(inputs, 0), at(inputs, 1)];
  const width = node.shape[1] ?? 1;
  const sums = new Float64Array(sizeOf(node.shape));
  ids.data.forEach((id, row) => {
    for (let i = 0; i < width; i++) {
      const target = id * width + i;
      sums[target] = (sums[target] ?? 0) + (dy.data[row * width + i] ?? 0);
    }
  });
  return Float32Array.from(sums);
};

const concatRule: Rule<"concat"> = (op, node, inputs) =>
  build(node, (place) => {
    let along = place[op.axis] ?? 0;
    for (const part of inputs) {
      const dim = part.shape[op.axis] ?? 0;
      if (along < dim) return read(part, place.with(op.axis, along));
      along -= dim;
    }
    return Number.NaN;
  });

const dequantizeRule: Rule<"dequantize"> = (op, node, inputs) => {
  const scales = inputs[1]?.data ?? new Float32Array();
  assert(scales instanceof Float32Array, "scales are f32");
  const into = new Float32Array(sizeOf(node.shape));
  unpackInto({ ...op, packed: at(inputs, 0).data, scales }, into);
  return into;
};

const same: Rule<OpKind> = (_op, _node, inputs) => at(inputs, 0).data;

const RULES: Rules = {
  input: () => new Float32Array(),
  constant: (op) => op.data,
  stopGradient: same,
  custom: same,
  reshape: same,
  neg: map((x) => -x),
  exp: map(Math.exp),
  log: map(Math.log),
  sqrt: map(Math.sqrt),
  reciprocal: map((x) => 1 / x),
  sigmoid: map((x) => 1 / (1 + Math.exp(-x))),
  tanh: map(Math.tanh),
  pow: map((x, op) => x ** op.exponent),
  cast: map((x) => x),
  expand: map((x) => x),
  add: zip((a, b) => a + b),
  sub: zip((a, b) => a - b),
  // Products of integers wrap, as those of 32-bit machines do.
  mul: (op, node, inputs) =>
    zip<"mul">(node.dtype === "i32" ? Math.imul : (a, b) => a * b)(op, node, inputs),
  div: zip((a, b) => a / b),
  equal: zip((a, b) => (a === b ? 1 : 0)),
  less: zip((a, b) => (a < b ? 1 : 0)),
  where: (_op, node, inputs) =>
    build(node, (place) => read(at(inputs, read(at(inputs, 0), place) === 1 ? 1 : 2), place)),
  matmul: matmulRule,
  reduceSum: reduction(
    0,
    (sum, x) => sum + x,
    (sum) => sum,
  ),
  reduceMean: reduction(
    0,
    (sum, x) => sum + x,
    (sum, count) => sum / count,
  ),
  reduceMax: reduction(-Infinity, Math.max, (max) => max),
  softmax: softmaxRule,
  transpose: (op, node, inputs) =>
    build(node, (place) => {
      const source = op.permutation.map((_, axis) => place[op.permutation.indexOf(axis)] ?? 0);
      return read(at(inputs, 0), source);
    }),
  slice: (op, node, inputs) =>
    build(node, (place) =>
      read(at(inputs, 0), place.with(op.axis, op.start + (place[op.axis] ?? 0))),
    ),
  pad: (op, node, inputs) =>
    build(node, (place) => {
      const x = at(inputs, 0);
      const along = (place[op.axis] ?? 0) - op.before;
      const inside = along >= 0 && along < (x.shape[op.axis] ?? 0);
      return inside ? read(x, place.with(op.axis, along)) : 0;
    }),
  concat: concatRule,
  gather: (_op, node, inputs) =>
    build(node, (place) => {
      const id = read(at(inputs, 1), place.slice(0, -1));
      return read(at(inputs, 0), [id, place.at(-1) ?? 0]);
    }),
  scatterRows: scatterRowsRule,
  oneHot: (_op, node, inputs) =>
    build(node, (place) => (read(at(inputs, 0), place.slice(0, -1)) === place.at(-1) ? 1 : 0)),
  rope: ropeRule,
  rmsNormalize: (op, node, inputs) => {
    const [x, gain] = [at(inputs, 0), at(inputs, 1)];
    return build(
      node,
      (place) => read(x, place) * inverseRms(x, place, op.eps) * read(gain, place),
    );
  },
  rmsInverse: (op, node, inputs) =>
    build(node, (place) => inverseRms(at(inputs, 0), place, op.eps)),
  layerNormalize: layerNormalizeRule,
  layerInverse: (op, node, inputs) =>
    build(node, (place) => statistics(at(inputs, 0), place, op.eps).inverse),
  dequantize: dequantizeRule,
};

function evaluate(graph: Graph, feeds: Feeds): Record<string, Float32Array> {
  const values = new Map<Tensor, Value>();
  for (const node of topologicalOrder(graph.outputs.values())) {
    const inputs = node.inputs.map((x) => defined(values.get(x), "inputs come before users"));
    // The table's type ties every rule to its own op; only the lookup by a union key loses that
    // tie.
    const rule = RULES[node.op.kind] as Rule<OpKind>;
    const fed = node.op.kind === "input" ? feeds[inputName(node)] : undefined;
    values.set(node, { data: fed ?? rule(node.op, node, inputs), shape: node.shape });
  }
  const results = [...graph.outputs].map(([name, node]) => {
    const { data } = defined(values.get(node), "every output is computed");
    return [name, Float32Array.from(data)] as const;
  });
  return Object.fromEntries(results);
}

/** Plain loops, sums in float64, node after node: slow, obvious, and the judge of the others. */
export const reference: Runtime = {
  async compile(graph: Graph): Promise<Executable> {
    return {
      run: async (feeds, into = {}) => {
        const outputs = evaluate(graph, feeds);
        for (const [name, target] of Object.entries(into)) {
          target.set(defined(outputs[name], `there is an output ${name}`));
        }
        return { ...outputs, ...into };
      },
      dispose: () => Promise.resolve(),
    };
  },
};
