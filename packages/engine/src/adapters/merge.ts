// An adapter's product added into the matrix that it adapts, for files without adapters.
// It deliberately rounds once per weight: sums are in float64.
// @source Hu et al. 2021, "LoRA"; Liu et al. 2024, "DoRA" (magnitude over the norm of each output)
import { assert } from "@manyhands/base/assert";
import type { LinearPlace } from "./config.ts";

export type AdapterMatrices = {
  /** A [r, in]. */
  readonly a: Float32Array;
  /** B [out, r]. */
  readonly b: Float32Array;
  /** DoRA's magnitudes [out]. */
  readonly magnitude?: Float32Array | undefined;
  /** What B · A is multiplied by: adapterScale. */
  readonly scale: number;
};

/**
 * W + s B A in place; with magnitudes m each output o is then multiplied by m_o / ‖(W + s B A)_o‖.
 *
 * @param weight as stored: [out, in], or [in, out] if the place says so
 */
export function mergeAdapter(
  weight: Float32Array,
  { inSize, outSize, inputMajor }: LinearPlace,
  matrices: AdapterMatrices,
): void {
  assert(weight.length === inSize * outSize, "the matrix is as large as its place says");
  const { a, b, magnitude, scale } = matrices;
  // [in, out] gets s Aᵀ Bᵀ: the same sum with A and B in each other's place.
  const product = inputMajor
    ? { rows: inSize, left: transposed(a, a.length / inSize), right: transposed(b, outSize) }
    : { rows: outSize, left: b, right: a };
  addProduct(weight, product, scale);
  if (magnitude) setNorms(weight, { outSize, inputMajor }, magnitude);
}

type Product = {
  readonly rows: number;
  /** [rows, r] */
  readonly left: Float32Array;
  /** [r, columns] */
  readonly right: Float32Array;
};

function addProduct(weight: Float32Array, { rows, left, right }: Product, scale: number): void {
  const columns = weight.length / rows;
  const rank = left.length / rows;
  const sums = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = left[row * rank + k] as number;
      const at = k * columns;
      for (let c = 0; c < columns; c++) {
        sums[c] = (sums[c] as number) + factor * (right[at + c] as number);
      }
    }
    const start = row * columns;
    for (let c = 0; c < columns; c++) {
      weight[start + c] = (weight[start + c] as number) + scale * (sums[c] as number);
    }
  }
}

/** [rows, columns] to [columns, rows]. */
function transposed(matrix: Float32Array, rows: number): Float32Array {
  const columns = matrix.length / rows;
  const out = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < columns; c++) out[c * rows + row] = matrix[row * columns + c] as number;
  }
  return out;
}

function setNorms(
  weight: Float32Array,
  { outSize, inputMajor }: Pick<LinearPlace, "outSize" | "inputMajor">,
  magnitude: Float32Array,
): void {
  const inSize = weight.length / outSize;
  const [outStep, inStep] = inputMajor ? [1, outSize] : [inSize, 1];
  for (let o = 0; o < outSize; o++) {
    let square = 0;
    for (let i = 0; i < inSize; i++) square += (weight[o * outStep + i * inStep] as number) ** 2;
    const factor = (magnitude[o] as number) / Math.sqrt(square);
    for (let i = 0; i < inSize; i++) {
      const at = o * outStep + i * inStep;
      weight[at] = (weight[at] as number) * factor;
    }
  }
}
