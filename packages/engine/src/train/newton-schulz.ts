// Orthogonalisation of batches of equally shaped matrices by Newton–Schulz iterations, as IR.
// It deliberately knows no optimiser: Muon feeds it.
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";

/** One iteration X ← (a + b A + c A²) X with A = X Xᵀ. */
export type Quintic = readonly [a: number, b: number, c: number];

export type NewtonSchulz = {
  readonly iterations: readonly Quintic[];
  /** The first X is X / (margin · ‖X‖), so that rounding keeps every singular value below 1. */
  readonly margin: number;
};

/**
 * @source Jordan et al. 2024, "Muon": five equal iterations that bring singular values to 0.7 … 1.2
 */
export const MUON_QUINTIC: NewtonSchulz = {
  iterations: new Array<Quintic>(5).fill([3.4445, -4.775, 2.0315]),
  margin: 1,
};

/**
 * @source Amsel et al. 2025, "The Polar Express": iterations that are optimal one after the other
 */
export const POLAR_EXPRESS: NewtonSchulz = {
  iterations: [
    [8.1566, -22.4833, 15.8788],
    [4.0429, -2.8089, 0.5],
    [3.8917, -2.7725, 0.5061],
    [3.2858, -2.3681, 0.4645],
    [2.3465, -1.7098, 0.4232],
  ],
  margin: 1.02,
};

/** Only keeps the quotient finite for a gradient of zero. */
const NORM_FLOOR = 1e-20;

/**
 * The orthogonal factor of each matrix, approximately.
 *
 * @param x [N, rows, columns]
 */
export function orthogonalized(x: Tensor, method: NewtonSchulz): Tensor {
  const [, rows = 1, columns = 1] = x.shape;
  const squares = ir.reduceSum(ir.mul(x, x), [-2, -1], { keepDims: true });
  const floor = ir.scalar(NORM_FLOOR);
  const norm = ir.mul(ir.sqrt(ir.add(squares, floor)), ir.scalar(method.margin));
  const unit = ir.div(x, norm);
  if (rows === columns) return squareIterations(unit, method);
  return gramIterations(unit, method, rows < columns);
}

/**
 * a I + b A + c A² = c S² + (a − b²/4c) I with S = A + (b/2c) I: one product and two passes over
 * memory.
 */
function polynomial(gram: Tensor, [a, b, c]: Quintic): Tensor {
  const size = gram.shape.at(-1) ?? 1;
  const shifted = ir.add(gram, scaledIdentity(size, b / (2 * c)));
  const square = ir.matmul(shifted, shifted, { scale: c });
  return ir.add(square, scaledIdentity(size, a - (b * b) / (4 * c)));
}

function scaledIdentity(size: number, value: number): Tensor {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * size + i] = value;
  return ir.constant(data, [size, size]);
}

function squareIterations(unit: Tensor, method: NewtonSchulz): Tensor {
  let x = unit;
  for (const quintic of method.iterations) {
    const gram = ir.matmul(x, x, { transposeB: true });
    x = ir.matmul(polynomial(gram, quintic), x);
  }
  return x;
}

/**
 * The same polynomials on the small side: every iterate is Q X₀, where Q and the Gram matrix G are
 * polynomials of the first G, so they commute: G ← P G P, Q ← P Q. The long side is multiplied
 * twice in all.
 */
function gramIterations(unit: Tensor, method: NewtonSchulz, wide: boolean): Tensor {
  let gram = ir.matmul(unit, unit, { transposeA: !wide, transposeB: wide });
  let q: Tensor | undefined;
  method.iterations.forEach((quintic, index) => {
    const p = polynomial(gram, quintic);
    q = q ? ir.matmul(p, q) : p;
    const last = index === method.iterations.length - 1;
    if (!last) gram = ir.matmul(p, ir.matmul(gram, p));
  });
  if (q === undefined) return unit;
  return wide ? ir.matmul(q, unit) : ir.matmul(unit, q);
}
