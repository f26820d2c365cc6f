// BitNet's matrix products: 8-bit activations, ternary weights, gradients that pass straight
// through. The products themselves are ordinary ones: packed weights are not this file's.
// @source Ma et al. 2024, "The era of 1-bit LLMs"; Bengio et al. 2013 for the gradients
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";

/**
 * 1.5 · 2²³: adding it to a number below 2²² leaves no bit for a fraction, so that IEEE 754 itself
 * rounds to the nearest integer, ties to even, wherever the sum is stored as a float32.
 */
const ROUNDER = 12_582_912;
const LEVELS = 127;
/** Below this no scale is formed from a maximum or a mean. */
const MAGNITUDE_MIN = 1e-5;

function round(x: Tensor): Tensor {
  return ir.sub(ir.add(x, ir.scalar(ROUNDER)), ir.scalar(ROUNDER));
}

function magnitude(x: Tensor): Tensor {
  return ir.where(ir.less(x, ir.scalar(0)), ir.neg(x), x);
}

function atLeast(x: Tensor, least: number): Tensor {
  return ir.where(ir.less(x, ir.scalar(least)), ir.scalar(least), x);
}

/**
 * Each row to the nearest of 255 levels: round(x s) / s with s = 127 / max|x|. The gradient is that
 * of x itself.
 *
 * @param x [N, C]
 */
export function eightBits(x: Tensor): Tensor {
  const largest = ir.reduceMax(magnitude(x), [-1], { keepDims: true });
  const scale = ir.div(ir.scalar(LEVELS), atLeast(largest, MAGNITUDE_MIN));
  return ir.withGradient(ir.div(round(ir.mul(x, scale)), scale), [x], (dy) => [dy]);
}

/**
 * A matrix to −m, 0 and m with m = mean|w|: each weight to the nearest. The gradient is that of w
 * itself.
 *
 * @param w [out, in]
 */
export function ternary(w: Tensor): Tensor {
  const mean = atLeast(ir.reduceMean(magnitude(w), [0, 1]), MAGNITUDE_MIN);
  const scale = ir.div(ir.scalar(1), mean);
  const rounded = round(ir.mul(w, scale));
  const low = ir.where(ir.less(rounded, ir.scalar(-1)), ir.scalar(-1), rounded);
  const clipped = ir.where(ir.less(ir.scalar(1), low), ir.scalar(1), low);
  return ir.withGradient(ir.div(clipped, scale), [w], (dy) => [dy]);
}
