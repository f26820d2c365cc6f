// What the referee must compute, to the bit, wherever it runs: the hashes of weights after twenty
// steps. It deliberately knows no test runner: it runs in Node on any processor, and in a page.
import { toHex } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import { Random } from "@manyhands/base/random";
import type { AdapterConfig } from "../adapters/config.ts";
import type { ModelConfig } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { flatSource, quantizeBase } from "../quantize/base-model.ts";
import type { BaseKind } from "../quantize/kinds.ts";
import { createFineTuner } from "../train/fine-tuner.ts";
import { ADAMW_RECIPE, MUON_RECIPE, type OptimizerOptions } from "../train/options.ts";
import { createTrainer } from "../train/trainer.ts";
import type { Runtime } from "./runtime.ts";

type RefereeRun = {
  readonly name: string;
  readonly model: ModelConfig;
  /** All weights from nothing; or adapters over first weights in a stored form. */
  readonly trains:
    | { readonly optimizer: OptimizerOptions }
    | { readonly adapter: AdapterConfig; readonly kind: BaseKind };
  /** SHA-256 of the weights' bytes after the steps. */
  readonly weightsHash: string;
};

const STEPS = 20;
const BATCH = { sequences: 2, contextLength: 32 };

const LLAMA: ModelConfig = {
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
};
const LORA: AdapterConfig = { r: 4, loraAlpha: 8, targetModules: "all-linear" };

export const REFEREE_RUNS: readonly RefereeRun[] = [
  {
    name: "Llama, Muon",
    model: LLAMA,
    trains: { optimizer: MUON_RECIPE },
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
    trains: { optimizer: ADAMW_RECIPE },
    weightsHash: "82176c41d83d963f79512f3e7ea59936004a4bfa746805c9a1efea432ddcedb9",
  },
  {
    name: "Llama in 4 bits, LoRA with dropout",
    model: { ...LLAMA, intermediateSize: 96 },
    trains: { adapter: { ...LORA, loraDropout: 0.1 }, kind: "q4" },
    weightsHash: "de57c0c072f91b54de13f7ada5f318889478716cfc6289ce5e534c108c0f294f",
  },
  {
    name: "Llama in NF4, rsLoRA",
    model: { ...LLAMA, intermediateSize: 96 },
    trains: { adapter: { ...LORA, useRslora: true }, kind: "nf4" },
    weightsHash: "613133f995bf1e63382fe9d52d139f9fe77f01511120ec4c2e8bd242c880c114",
  },
];

/** Ids that neither repeat soon nor need a random generator: squares of the place. */
function tokensOf(step: number, vocabSize: number): Int32Array {
  const size = BATCH.sequences * (BATCH.contextLength + 1);
  return Int32Array.from({ length: size }, (_, i) => ((i + 7 * step) * (i + 3)) % vocabSize);
}

/** Trains for twenty steps from seed 1. @returns the hash of the weights */
export async function refereeHash(runtime: Runtime, run: RefereeRun): Promise<string> {
  const { buffer, byteOffset, byteLength } = await trained(runtime, run);
  return toHex(sha256(new Uint8Array(buffer, byteOffset, byteLength)));
}

async function trained(runtime: Runtime, { model, trains }: RefereeRun): Promise<Float32Array> {
  const first = initialWeights(model, 1);
  if ("optimizer" in trains) {
    const { optimizer } = trains;
    const trainer = await createTrainer({ runtime, model, optimizer, batch: BATCH });
    trainer.weights.set(first);
    for (let step = 0; step < STEPS; step++) await trainer.step(tokensOf(step, model.vocabSize));
    await trainer.dispose();
    return trainer.weights;
  }
  // First weights have matrices of zeros: what is trained on has none.
  const random = new Random(2);
  const weights = first.map((weight) => weight + 0.1 * (random.unit() - 0.5));
  const base = await quantizeBase(flatSource(model, weights), trains.kind);
  const { adapter } = trains;
  const tuner = await createFineTuner({ runtime, base, adapter, batch: BATCH, seed: 1 });
  const size = BATCH.sequences * BATCH.contextLength;
  for (let step = 0; step < STEPS; step++) {
    const ids = tokensOf(step, model.vocabSize);
    const batch = { tokens: ids.slice(0, size), targets: ids.slice(1, size + 1) };
    await tuner.step(batch, { learningRate: 0.01 });
  }
  await tuner.close();
  return tuner.weights;
}
