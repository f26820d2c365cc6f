// The shape of a batch, in the house's letters. Deliberately nothing else: who trains and who
// evaluates both name it.

export type BatchShape = {
  /** B: windows per step. */
  readonly sequences: number;
  /** T: tokens that the model sees in each. */
  readonly contextLength: number;
};
