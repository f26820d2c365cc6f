// The learning rate of every step, as a share of its peak. Pure: a run's steps are known before.

export const SCHEDULES = ["constant", "linear", "cosine", "wsd"] as const;
export type ScheduleKind = (typeof SCHEDULES)[number];

export type Schedule = {
  readonly kind: ScheduleKind;
  /** Steps in which the rate rises from 0. */
  readonly warmupSteps: number;
  /** wsd: the last steps, in which it falls to 0. */
  readonly cooldownSteps: number;
};

/**
 * With w warm-up steps of n, at step s = 0 … n − 1 and p = (s + ½ − w) ÷ (n − w):
 *
 *     s < w      (s + 1) ÷ (w + 1)
 *     constant   1
 *     linear     1 − p
 *     cosine     (1 + cos πp) ÷ 2
 *     wsd        1, and over the last c steps (n − s − ½) ÷ c
 *
 * The half keeps the first and the last step from training in vain.
 *
 * @source wsd (warm-up, stable, decay): Hu et al. 2024, "MiniCPM", arXiv:2404.06395
 */
export function rateShare(schedule: Schedule, step: number, steps: number): number {
  const { kind, warmupSteps, cooldownSteps } = schedule;
  if (step < warmupSteps) return (step + 1) / (warmupSteps + 1);
  const position = (step + 0.5 - warmupSteps) / Math.max(1, steps - warmupSteps);
  switch (kind) {
    case "constant":
      return 1;
    case "linear":
      return 1 - position;
    case "cosine":
      return (1 + Math.cos(Math.PI * position)) / 2;
    case "wsd":
      return Math.min(1, (steps - step - 0.5) / Math.max(1, cooldownSteps));
    default:
      return kind satisfies never;
  }
}
