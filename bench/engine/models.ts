// The models, batches and optimiser that every engine of the benchmark trains, and the files that
// all engines read. Nothing here runs a model.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Random } from "@manyhands/base/random";
import {
  isGpt2,
  type ModelConfig,
  type ParameterSpec,
  parameterPlaces,
  parameterSpecs,
} from "@manyhands/engine/model/config";
import type { BatchShape } from "@manyhands/engine/train/batch-shape";
import type { OptimizerOptions } from "@manyhands/engine/train/options";

export type BenchModel = {
  readonly name: string;
  readonly shape: "llama" | "gpt2";
  readonly config: ModelConfig;
  readonly batch: BatchShape;
  /** Steps of one engine before the next has its turn. */
  readonly stepsPerTurn: number;
};

/** What an engine is told before its first step. */
export type Job = {
  readonly shape: BenchModel["shape"];
  readonly config: ModelConfig;
  readonly sequences: number;
  readonly contextLength: number;
  readonly threads: number;
  readonly optimizer: OptimizerOptions;
  readonly parameters: readonly ParameterSpec[];
  /** Little-endian f32, all parameters in order. */
  readonly weightsFile: string;
  /** Little-endian i32: batches of B × (T + 1) ids, which take turns. */
  readonly tokensFile: string;
};

/** What a generator is told before its first text. */
export type GenerationJob = {
  readonly folder: string;
  readonly threads: number;
  readonly prompt: readonly number[];
  readonly count: number;
};

type Size = { readonly width: number; readonly layers: number; readonly heads: number };

function llama({ width, layers, heads }: Size, inner: number, time: number): ModelConfig {
  return {
    vocabSize: 256,
    hiddenSize: width,
    intermediateSize: inner,
    numHiddenLayers: layers,
    numAttentionHeads: heads,
    numKeyValueHeads: heads,
    maxPositionEmbeddings: time,
    rmsNormEps: 1e-5,
    ropeTheta: 10_000,
    tieWordEmbeddings: false,
  };
}

function gpt2({ width, layers, heads }: Size, time: number): ModelConfig {
  return {
    modelType: "gpt2",
    vocabSize: 256,
    nPositions: time,
    nEmbd: width,
    nLayer: layers,
    nHead: heads,
    nInner: 4 * width,
    layerNormEpsilon: 1e-5,
    tieWordEmbeddings: false,
  };
}

const SMALL: Size = { width: 256, layers: 4, heads: 4 };
const BIG: Size = { width: 512, layers: 8, heads: 8 };
const small = {
  name: "small",
  batch: { sequences: 8, contextLength: 128 },
  stepsPerTurn: 8,
} as const;
const big = { name: "big", batch: { sequences: 8, contextLength: 256 }, stepsPerTurn: 2 } as const;

export const MODELS: readonly BenchModel[] = [
  { ...small, shape: "llama", config: llama(SMALL, 688, 128) },
  { ...small, shape: "gpt2", config: gpt2(SMALL, 128) },
  { ...big, shape: "llama", config: llama(BIG, 1376, 256) },
  { ...big, shape: "gpt2", config: gpt2(BIG, 256) },
];

/** AdamW as everybody has it: decay on matrices only, clipping at a global norm of 1. */
export const OPTIMIZER: OptimizerOptions = {
  gradientNormMax: 1,
  adamw: { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 },
};

const BATCH_COUNT = 8;
/** Uniform initial weights: a standard deviation of 0.02. */
const INITIAL_WIDTH = 0.02 * Math.sqrt(12);

/** Random matrices, gains of one, biases of zero. */
export function initialWeights(config: ModelConfig): Float32Array {
  const places = parameterPlaces(config);
  const flat = new Float32Array(places.reduce((sum, { size }) => sum + size, 0));
  const random = new Random(1);
  for (const { name, shape, offset, size } of places) {
    const part = flat.subarray(offset, offset + size);
    part.fill(shape.length === 2 || name.endsWith(".bias") ? 0 : 1);
    if (shape.length !== 2) continue;
    for (let i = 0; i < size; i++) part[i] = (random.unit() - 0.5) * INITIAL_WIDTH;
  }
  return flat;
}

/** The text of all batches, one byte a token. */
export async function textTokens(): Promise<Int32Array> {
  return Int32Array.from(await readFile("examples/shakespeare/input.txt"));
}

/** Writes the weights and the batches, bytes of a text in order. */
export async function writeJob(model: BenchModel, threads: number, folder: string): Promise<Job> {
  const { name, shape, config, batch } = model;
  const weightsFile = join(folder, `${name}-${shape}.weights`);
  const tokensFile = join(folder, `${name}-${shape}.tokens`);
  await writeFile(weightsFile, initialWeights(config));
  const text = await textTokens();
  const count = BATCH_COUNT * batch.sequences * (batch.contextLength + 1);
  await writeFile(tokensFile, text.subarray(0, count));
  const parameters = parameterSpecs(config);
  const files = { weightsFile, tokensFile };
  return { shape, config, ...batch, threads, optimizer: OPTIMIZER, parameters, ...files };
}

export function describeModel({ name, shape, config, batch }: BenchModel): string {
  const parameters = parameterPlaces(config).reduce((sum, { size }) => sum + size, 0);
  const family = isGpt2(config) ? "GPT-2 shape" : "Llama shape";
  const tokens = `${batch.sequences} × ${batch.contextLength} tokens a step`;
  return `${name} ${shape}: ${family}, ${(parameters / 1e6).toFixed(1)}M parameters, ${tokens}`;
}
