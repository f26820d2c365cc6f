// AdamW over a part of the flat weights, as one plain loop. It deliberately allocates nothing.
import type { AdamwOptions } from "./options.ts";

export type AdamwPart = {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
};

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
 * with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
 *
 * @source Loshchilov and Hutter 2019, "Decoupled weight decay regularization"; as torch.optim.AdamW
 */
export function adamwUpdate(part: AdamwPart, options: AdamwOptions, scales: AdamwScales): void {
  const { weights, gradients, moment1, moment2 } = part;
  const { beta1, beta2, eps } = options;
  const rate = options.learningRate * scales.learningRateScale;
  const keep = scales.decays ? 1 - rate * options.weightDecay : 1;
  const stepSize = rate / (1 - integerPower(beta1, scales.step));
  const rootCorrection = Math.sqrt(1 - integerPower(beta2, scales.step));
  const { gradientScale } = scales;
  for (let i = 0; i < weights.length; i++) {
    const g = (gradients[i] as number) * gradientScale;
    const m = beta1 * (moment1[i] as number) + (1 - beta1) * g;
    const v = beta2 * (moment2[i] as number) + (1 - beta2) * g * g;
    moment1[i] = m;
    moment2[i] = v;
    const update = (stepSize * m) / (Math.sqrt(v) / rootCorrection + eps);
    weights[i] = (weights[i] as number) * keep - update;
  }
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
