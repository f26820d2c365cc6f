// What the referee must compute, to the bit, wherever it runs: the hashes of weights after twenty
// steps. It deliberately knows no test runner: it runs in Node on any processor, and in a page.
import { toHex } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import type { ModelConfig } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { ADAMW_RECIPE, MUON_RECIPE, type OptimizerOptions } from "../train/options.ts";
import { createTrainer } from "../train/trainer.ts";
import type { Runtime } from "./runtime.ts";

type RefereeRun = {
  readonly name: string;
  readonly model: ModelConfig;
  readonly optimizer: OptimizerOptions;
  /** SHA-256 of the weights' bytes after the steps. */
  readonly weightsHash: string;
};

const STEPS = 20;
const BATCH = { sequences: 2, contextLength: 32 };

export const REFEREE_RUNS: readonly RefereeRun[] = [
  {
    name: "Llama, Muon",
    model: {
      vocabSize: 64,
      hiddenSize: 32,
      intermediateSize: 80,
      numHiddenLayers: 2,
      numAttentionHeads: 4,
      numKeyValueHeads: 2,
      maxPositionEmbeddings: 32,
      rmsNormEps: 1e-5,
      ropeTheta: 10_000,
      tieWordEmbeddings: false,
    },
    optimizer: MUON_RECIPE,
    weightsHash: "5170a6164bcc2545932331e77c86684a31c83c97279785abf0ffadfca6f2a821",
  },
  {
    name: "GPT-2, AdamW",
    model: {
      modelType: "gpt2",
      vocabSize: 64,
      nPositions: 32,
      nEmbd: 32,
      nLayer: 2,
      nHead: 4,
      nInner: 128,
      layerNormEpsilon: 1e-5,
      tieWordEmbeddings: true,
    },
    optimizer: ADAMW_RECIPE,
    weightsHash: "82176c41d83d963f79512f3e7ea59936004a4bfa746805c9a1efea432ddcedb9",
  },
];

/** Ids that neither repeat soon nor need a random generator: squares of the place. */
function tokensOf(step: number, vocabSize: number): Int32Array {
  const size = BATCH.sequences * (BATCH.contextLength + 1);
  return Int32Array.from({ length: size }, (_, i) => ((i + 7 * step) * (i + 3)) % vocabSize);
}

/** Trains for twenty steps from seed 1. @returns the hash of the weights */
export async function refereeHash(runtime: Runtime, run: RefereeRun): Promise<string> {
  const { model, optimizer } = run;
  const trainer = await createTrainer({ runtime, model, optimizer, batch: BATCH });
  trainer.weights.set(initialWeights(model, 1));
  for (let step = 0; step < STEPS; step++) await trainer.step(tokensOf(step, model.vocabSize));
  const { buffer, byteOffset, byteLength } = trainer.weights;
  const hash = toHex(sha256(new Uint8Array(buffer, byteOffset, byteLength)));
  await trainer.dispose();
  return hash;
}
