// What a training run may choose about its optimiser. Defaults are the recipe of the small demo
// model. Schedules are deliberately not here: a step is told its learning-rate scale.

export type AdamwOptions = {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled; applies to matrices, not to norm gains. */
  readonly weightDecay: number;
};

export type MuonOptions = {
  readonly learningRate: number;
  readonly momentum: number;
  /** Decoupled. */
  readonly weightDecay: number;
  readonly orthogonalization: "quintic" | "polarExpress";
  /** Newton–Schulz iterations, 1 to 5. Default 5; 4 of polarExpress cost a quarter less. */
  readonly iterations?: number;
  /**
   * 2: each step moves every second matrix, at twice the rate, which halves the cost. Default 1.
   * Momentum follows every step.
   */
  readonly every?: number;
};

export type OptimizerOptions = {
  /** The gradient is scaled down to this global norm; Infinity for no clipping. */
  readonly gradientNormMax: number;
  /** For embedding, head and norm gains; without muon, for everything. */
  readonly adamw: AdamwOptions;
  /** For the matrices of the blocks. */
  readonly muon?: MuonOptions;
};

/** Muon for the blocks' matrices: what the small demo model was tuned with. */
export const MUON_RECIPE: OptimizerOptions = {
  gradientNormMax: 1,
  adamw: { learningRate: 0.015, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay: 0 },
  muon: {
    learningRate: 0.02,
    momentum: 0.95,
    weightDecay: 0.05,
    orthogonalization: "polarExpress",
    iterations: 4,
  },
};

/** AdamW for everything. */
export const ADAMW_RECIPE: OptimizerOptions = {
  gradientNormMax: 1,
  adamw: { learningRate: 0.001, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay: 0.1 },
};
