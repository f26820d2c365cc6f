// AdamW over a part of the flat weights: its numbers of one step; the loop is in flat-kernels.ts.
// It deliberately allocates nothing.
import type { AdamwPart, FlatMemory } from "./flat-memory.ts";
import type { AdamwOptions } from "./options.ts";

export type AdamwScales = {
  /** 1-based. */
  readonly step: number;
  /** Multiplies the gradients (clipping). */
  readonly gradientScale: number;
  readonly learningRateScale: number;
  readonly decays: boolean;
};

/**
 * m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; θ ← θ (1 − lr·wd) − lr · m̂ / (√v̂ + ε), in place,
 * with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). In single precision; the loop multiplies √v̂ + ε
 * and the rate by √(1 − β₂ᵗ), which leaves one division per weight.
 *
 * @source Loshchilov and Hutter 2019, "Decoupled weight decay regularization"; as torch.optim.AdamW
 */
export function adamwUpdate(
  memory: FlatMemory,
  part: AdamwPart,
  options: AdamwOptions,
  scales: AdamwScales,
): void {
  const { beta1, beta2 } = options;
  const { step, gradientScale } = scales;
  const rate = options.learningRate * scales.learningRateScale;
  const root = Math.sqrt(1 - integerPower(beta2, step));
  memory.adamw(part, {
    gradientScale,
    beta1,
    beta2,
    keep: scales.decays ? 1 - rate * options.weightDecay : 1,
    stepSize: (rate * root) / (1 - integerPower(beta1, step)),
    eps: options.eps * root,
  });
}

/** base^exponent by products only, because the language leaves the last bits of ** open. */
export function integerPower(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}
