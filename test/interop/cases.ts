// What Python is to check: export folders, with the logits and losses that our engine gives.
// It trains only as much as makes weights that are not random.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportFiles } from "@manyhands/engine/checkpoint/export";
import type { ModelCard } from "@manyhands/engine/checkpoint/model-card";
import { readExportFolder, writeExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { splitTokens } from "@manyhands/engine/data/dataset";
import { Sampler } from "@manyhands/engine/data/sampler";
import { input } from "@manyhands/engine/ir/ops";
import { graphOf } from "@manyhands/engine/ir/tensor";
import { decoderOf } from "@manyhands/engine/model/architectures";
import type { LlamaConfig, ModelConfig } from "@manyhands/engine/model/config";
import { decoderLogits, weightFeeds, weightTensors } from "@manyhands/engine/model/decoder";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createEvaluator } from "@manyhands/engine/train/evaluate";
import { MUON_RECIPE } from "@manyhands/engine/train/options";
import { createTrainer } from "@manyhands/engine/train/trainer";

/** One export to check. Names are what check.py reads. */
export type InteropCase = {
  readonly name: string;
  readonly folder: string;
  /** Where check.py saves the model again. */
  readonly savedFolder: string;
  readonly data: string;
  readonly validationStart: number;
  readonly contextLength: number;
  /** Nats per byte on the whole validation split, by our engine. */
  readonly valLoss: number;
  /** What the run's own summary says, if there is one. */
  readonly claimedLoss: number | null;
  /** Token ids, and the file with their logits: float32, (tokens, vocabulary). */
  readonly prompts: readonly { readonly ids: readonly number[]; readonly logits: string }[];
};

const VALIDATION_BPS = 1_000;
const STEPS = 12;
const SEQUENCES = 8;

/** Nothing here is a default, so that a field which transformers overlooks is seen. */
const TINY: LlamaConfig = {
  vocabSize: 256,
  hiddenSize: 48,
  intermediateSize: 112,
  numHiddenLayers: 2,
  numAttentionHeads: 6,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 96,
  rmsNormEps: 1e-3,
  ropeTheta: 300,
  tieWordEmbeddings: false,
};

/** An untied and a tied model, each trained for a few steps and exported. */
export async function ownExports(work: string, data: string): Promise<InteropCase[]> {
  const cases: InteropCase[] = [];
  for (const tieWordEmbeddings of [false, true]) {
    const name = tieWordEmbeddings ? "tied" : "untied";
    const folder = join(work, name);
    const config = { ...TINY, tieWordEmbeddings };
    const weights = await trained(config, data);
    await writeExportFolder(folder, exportFiles({ config, weights, card: cardOf(name) }));
    const contextLength = config.maxPositionEmbeddings;
    cases.push(await caseOf({ name, folder, data, work, contextLength }));
  }
  return cases;
}

async function trained(config: LlamaConfig, data: string): Promise<Float32Array> {
  const contextLength = config.maxPositionEmbeddings;
  const { train } = splitTokens([readFileSync(data)], VALIDATION_BPS);
  const sampler = new Sampler({ train, contextLength, seed: 7 });
  const trainer = await createTrainer({
    runtime: ortNode,
    model: config,
    optimizer: MUON_RECIPE,
    batch: { sequences: SEQUENCES, contextLength },
  });
  trainer.weights.set(initialWeights(config, 7));
  const batch = new Int32Array(SEQUENCES * (contextLength + 1));
  for (let step = 0; step < STEPS; step++) {
    sampler.fill(batch, step * SEQUENCES, SEQUENCES);
    await trainer.step(batch);
  }
  const weights = trainer.weights.slice();
  await trainer.dispose();
  return weights;
}

function cardOf(name: string): ModelCard {
  return {
    name: `interop "${name}" | <b>`,
    runId: "00".repeat(32),
    license: "apache-2.0",
    dataset: [{ name: "input.txt", byteLength: 1_115_394, root: "11".repeat(32) }],
    validationBps: VALIDATION_BPS,
    recipe: { optimizer: "muon", steps: STEPS },
    tokens: STEPS * SEQUENCES * TINY.maxPositionEmbeddings,
    rounds: 1,
    valLoss: null,
    contributors: 1,
  };
}

type CaseSource = {
  readonly name: string;
  readonly folder: string;
  readonly data: string;
  readonly work: string;
  readonly contextLength: number;
};

/** Our engine's numbers for an export, from the files on disk. */
export async function caseOf(source: CaseSource): Promise<InteropCase> {
  const { name, folder, data, work, contextLength } = source;
  const { config, weights } = await readExportFolder(folder);
  const { train, validation } = splitTokens([readFileSync(data)], VALIDATION_BPS);
  const batch = { sequences: 16, contextLength };
  const evaluator = await createEvaluator({ runtime: ortNode, model: config, batch });
  const { loss } = await evaluator.evaluate(weights, Int32Array.from(validation));
  await evaluator.dispose();
  const texts = [
    validation.subarray(0, contextLength),
    validation.subarray(100, 117),
    train.subarray(0, 1),
  ];
  const rows = await logitsOf(config, weights, texts);
  const prompts = texts.map((text, index) => {
    const logits = join(work, `${name}-${index}.f32`);
    writeFileSync(logits, rows[index] ?? new Float32Array());
    return { ids: [...text], logits };
  });
  return {
    name,
    folder,
    savedFolder: join(work, `${name}-saved`),
    data,
    validationStart: train.length,
    contextLength,
    valLoss: loss,
    claimedLoss: null,
    prompts,
  };
}

/** Logits of every position of each text, padded to the longest: what follows changes nothing. */
async function logitsOf(
  config: ModelConfig,
  weights: Float32Array,
  texts: readonly Uint8Array[],
): Promise<Float32Array[]> {
  const time = Math.max(...texts.map((text) => text.length));
  const ids = input("ids", [1, time], "i32");
  const logits = decoderLogits(decoderOf(config), weightTensors(config), ids);
  const executable = await ortNode.compile(graphOf({ logits }));
  const rows: Float32Array[] = [];
  for (const text of texts) {
    const ids = new Int32Array(time);
    ids.set(text);
    const outputs = await executable.run({ ...weightFeeds(config, weights), ids });
    rows.push((outputs["logits"] ?? new Float32Array()).slice(0, text.length * config.vocabSize));
  }
  await executable.dispose();
  return rows;
}
