// What the parts of this folder tell each other: models that tuned.py made, and findings.

export type Check = { readonly name: string; readonly ok: boolean; readonly detail: string };

/** What tuned.py wrote beside a model. */
export type Tuned = {
  readonly name: string;
  /** The model's folder, and where everything about it lies. */
  readonly model: string;
  readonly folder: string;
  readonly windows: readonly (readonly number[])[];
  /** transformers' loss on the windows. */
  readonly loss: number;
  /** The hostile texts' ids, and those of "Hello, world" with what the tokenizer adds. */
  readonly texts: readonly (readonly number[])[];
  readonly whole: readonly number[];
};
