// A model and data small enough to be fine-tuned in a second, for tests of the command.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "@manyhands/base/random";
import { exportFiles } from "@manyhands/engine/checkpoint/export";
import type { LlamaConfig } from "@manyhands/engine/model/config";
import { initialWeights } from "@manyhands/engine/model/initial-weights";

const CONFIG: LlamaConfig = {
  ...{ vocabSize: 256, hiddenSize: 32, intermediateSize: 64, numHiddenLayers: 2 },
  ...{ numAttentionHeads: 2, numKeyValueHeads: 1, maxPositionEmbeddings: 64, rmsNormEps: 1e-5 },
  ...{ ropeTheta: 10_000, tieWordEmbeddings: true },
};

export type TinyModelOptions = {
  /** A tokenizer.json, for so many tokens: bytes if left out. */
  readonly tokenizer?: { readonly json: string; readonly vocabSize: number };
};

/** Writes a model with random weights into a folder. */
export function writeTinyModel(folder: string, { tokenizer }: TinyModelOptions = {}): void {
  const config = { ...CONFIG, vocabSize: tokenizer?.vocabSize ?? CONFIG.vocabSize };
  const card = {
    ...{ name: "tiny", runId: "0".repeat(64), license: "mit", dataset: [], validationBps: 100 },
    ...{ recipe: {}, tokens: 0, rounds: 0, valLoss: null, contributors: 1 },
  };
  // First weights have matrices of zeros, which no trained model has (DoRA divides by their norm).
  const random = new Random(1, 0);
  const weights = initialWeights(config, 1).map((weight) => weight + 0.1 * (random.unit() - 0.5));
  const files = exportFiles({ config, weights, card });
  mkdirSync(folder, { recursive: true });
  for (const { name, bytes } of files) writeFileSync(join(folder, name), bytes);
  if (tokenizer) writeFileSync(join(folder, "tokenizer.json"), tokenizer.json);
}

/** Lines with a pattern that can be learnt. */
export function writeTinyData(path: string): void {
  const lines = Array.from({ length: 120 }, (_, i) => {
    return JSON.stringify({ prompt: `what is ${i} and 1? `, completion: `it is ${i + 1}.` });
  });
  writeFileSync(path, `${lines.join("\n")}\n`);
}
