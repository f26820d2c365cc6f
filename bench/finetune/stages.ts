// The stages of bench:lora-swarm that one device does alone: pre-training a small Llama, LoRA on
// it, and the loss of a model or adapter on a text. It deliberately keeps no times.
import { join } from "node:path";
import type { AdapterConfig } from "@manyhands/engine/adapters/config";
import { exportFiles } from "@manyhands/engine/checkpoint/export";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { writeExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { withAdapter } from "@manyhands/engine/convert/weight-source";
import { Sampler } from "@manyhands/engine/data/sampler";
import { type LlamaConfig, parameterCount, parameterPlaces } from "@manyhands/engine/model/config";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import type { SavedAdapter } from "@manyhands/engine/peft/adapter-folder";
import { type BaseModel, quantizeBase } from "@manyhands/engine/quantize/base-model";
import type { BaseKind } from "@manyhands/engine/quantize/kinds";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createEvaluator } from "@manyhands/engine/train/evaluate";
import { createFineTuner } from "@manyhands/engine/train/fine-tuner";
import { MUON_RECIPE } from "@manyhands/engine/train/options";
import { createTrainer } from "@manyhands/engine/train/trainer";
import { TUNE_DEFAULTS } from "@manyhands/engine/train/tuner";
import { POSITION_END } from "@manyhands/protocol/limits";
import { learningRateScale } from "@manyhands/protocol/schedule";

/** The demo's model. */
export const MODEL: LlamaConfig = {
  ...{ vocabSize: 256, hiddenSize: 128, intermediateSize: 320, numHiddenLayers: 4 },
  ...{ numAttentionHeads: 4, numKeyValueHeads: 4, maxPositionEmbeddings: 128 },
  ...{ rmsNormEps: 1e-5, ropeTheta: 10_000, tieWordEmbeddings: false },
};
export const CONTEXT = 128;

const SCHEDULE = { warmup: 0.02, cooldown: 0.6, floor: 0.02 };

function scaleAt(step: number, steps: number): number {
  return learningRateScale(SCHEDULE, ((step + 0.5) / steps) * POSITION_END);
}

/** A model trained from nothing on a text, as a folder. @returns the tokens that it took */
export async function pretrain(
  train: Uint8Array,
  folder: string,
  { tokens, say }: { readonly tokens: number; readonly say: (line: string) => void },
): Promise<number> {
  const sequences = 8;
  const batch = { sequences, contextLength: CONTEXT };
  const trainer = await createTrainer({
    runtime: ortNode,
    model: MODEL,
    optimizer: MUON_RECIPE,
    batch,
  });
  trainer.weights.set(initialWeights(MODEL, 1));
  const sampler = new Sampler({ train, contextLength: CONTEXT, seed: 1 });
  const ids = new Int32Array(sequences * (CONTEXT + 1));
  const steps = Math.floor(tokens / (sequences * CONTEXT));
  for (let step = 0; step < steps; step++) {
    sampler.fill(ids, step * sequences, sequences);
    const learningRateScale = scaleAt(step, steps);
    const { loss } = await trainer.step(ids, { learningRateScale });
    if ((step + 1) % 250 === 0)
      say(`pre-training, step ${step + 1} of ${steps}: ${loss.toFixed(3)}`);
  }
  const card = {
    ...{ name: "bench", runId: "00".repeat(32), license: null, dataset: [], validationBps: 1_000 },
    ...{ recipe: {}, tokens, rounds: 1, valLoss: null, contributors: 1 },
  };
  await writeExportFolder(folder, exportFiles({ config: MODEL, weights: trainer.weights, card }));
  await trainer.dispose();
  return steps * sequences * CONTEXT;
}

export async function packedBase(folder: string, kind: BaseKind): Promise<BaseModel> {
  const files = await ModelFolder.open(folder);
  try {
    return await quantizeBase(files, kind);
  } finally {
    await files.close();
  }
}

export type LoraRecipe = {
  readonly adapter: AdapterConfig;
  readonly learningRate: number;
  readonly sequences: number;
  readonly tokens: number;
};

/** LoRA on a text, alone. */
export async function tuneAlone(
  base: BaseModel,
  train: Uint8Array,
  { recipe, say }: { readonly recipe: LoraRecipe; readonly say: (line: string) => void },
): Promise<SavedAdapter> {
  const { sequences, adapter } = recipe;
  const batch = { sequences, contextLength: CONTEXT };
  const optimizer = { ...TUNE_DEFAULTS, weightDecay: 0 };
  const tuner = await createFineTuner({
    runtime: ortNode,
    base,
    adapter,
    batch,
    seed: 1,
    optimizer,
  });
  const sampler = new Sampler({ train, contextLength: CONTEXT, seed: 2 });
  const ids = new Int32Array(sequences * (CONTEXT + 1));
  const [tokens, targets] = [
    new Int32Array(sequences * CONTEXT),
    new Int32Array(sequences * CONTEXT),
  ];
  const steps = Math.floor(recipe.tokens / (sequences * CONTEXT));
  for (let step = 0; step < steps; step++) {
    sampler.fill(ids, step * sequences, sequences);
    for (let row = 0; row < sequences; row++) {
      const start = row * (CONTEXT + 1);
      tokens.set(ids.subarray(start, start + CONTEXT), row * CONTEXT);
      targets.set(ids.subarray(start + 1, start + 1 + CONTEXT), row * CONTEXT);
    }
    const learningRate = recipe.learningRate * scaleAt(step, steps);
    const { loss } = await tuner.step({ tokens, targets }, { learningRate });
    if ((step + 1) % 100 === 0) say(`LoRA alone, step ${step + 1} of ${steps}: ${loss.toFixed(3)}`);
  }
  const weights = Float32Array.from(tuner.weights);
  await tuner.close();
  return { adapter, baseModel: null, revision: null, weights };
}

/** Nats per byte of texts, every byte but the first predicted once. */
export async function lossesOn(
  folder: string,
  adapter: SavedAdapter | string | undefined,
  texts: readonly Uint8Array[],
): Promise<readonly number[]> {
  const files = await ModelFolder.open(folder);
  const source = await withAdapter(files, adapter);
  const weights = new Float32Array(parameterCount(files.config));
  for (const place of parameterPlaces(files.config)) {
    await source.readParameter(place, weights.subarray(place.offset, place.offset + place.size));
  }
  await files.close();
  const batch = { sequences: 16, contextLength: CONTEXT };
  const evaluator = await createEvaluator({ runtime: ortNode, model: files.config, batch });
  const losses: number[] = [];
  for (const text of texts) {
    losses.push((await evaluator.evaluate(weights, Int32Array.from(text))).loss);
  }
  await evaluator.dispose();
  return losses;
}

/** Where the base lies in a work folder. */
export const baseFolder = (work: string): string => join(work, "base");
