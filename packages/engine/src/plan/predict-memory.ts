// How much memory a training run will take on Node's CPU, part by part, before any of it is taken.
// It deliberately allocates nothing but the graphs, which are small.
import { sizeOf } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import {
  isBlockMatrix,
  type ModelConfig,
  type ParameterPlace,
  parameterCount,
  parameterPlaces,
} from "../model/config.ts";
import { weightInputs } from "../model/decoder.ts";
import { blockGraphs } from "../train/block-gradients.ts";
import { evaluationGraph } from "../train/evaluate.ts";
import { gradientGraph } from "../train/gradient-source.ts";
import { muonGraph } from "../train/muon.ts";
import type { OptimizerOptions } from "../train/options.ts";
import { graphMemory } from "./graph-memory.ts";

export type Recomputation = "none" | "blocks";

/** A run, with every choice made. */
export type MemoryRequest = {
  readonly model: ModelConfig;
  readonly optimizer: OptimizerOptions;
  readonly batch: { readonly sequences: number; readonly contextLength: number };
  readonly microBatch: number;
  readonly recomputation: Recomputation;
  /** Threads that share the sequences; 1 if they share operations. */
  readonly threads: number;
  /** Whether an evaluator of the same micro-batch lives beside the trainer. Default false. */
  readonly evaluates?: boolean | undefined;
  /** Bytes that the process holds for other ends, such as data. Default 0. */
  readonly otherBytes?: number | undefined;
};

/** Bytes. */
export type MemoryParts = {
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: number;
  /** Node, ONNX Runtime, and what they copy. */
  readonly runtime: number;
  /** An evaluator, and what the caller holds. */
  readonly other: number;
};

const FLOAT_BYTES = 4;
/** Node 24 with ONNX Runtime 1.30, its sessions and this package, measured with a tiny model. */
const RUNTIME_BYTES = 145e6;
/** What an arena touches beyond our model of it, at most so much on the runs that we measured. */
const ARENA_FACTOR = 1.1;
/** A worker thread of Node, with its own sessions. */
const THREAD_BYTES = 40e6;

/** The peak's parts; their sum was within 15 % of the measured peak (bench/results/memory.md). */
export function predictMemory(request: MemoryRequest): MemoryParts {
  const { model, microBatch, threads } = request;
  const flat = parameterCount(model) * FLOAT_BYTES;
  // Threads share the sequences, each with gradients and copies of its own, if there are enough.
  const team = threads > 1 && microBatch >= threads ? threads : 1;
  const share = Math.ceil(microBatch / team);
  const work = workOf(request, share);
  const others = team - 1;
  return {
    weights: flat + (others > 0 ? flat : 0) + others * flat,
    gradients: flat + others * 2 * flat,
    optimizer: optimizerBytes(request),
    activations: team * work.activations,
    runtime: RUNTIME_BYTES + others * THREAD_BYTES + team * work.copies,
    other: (request.otherBytes ?? 0) + (request.evaluates ? evaluationBytes(request) : 0),
  };
}

/** An evaluator has its own copy of the weights, and holds no activation for long. */
function evaluationBytes({ model, batch, microBatch }: MemoryRequest): number {
  const shape = { sequences: microBatch, contextLength: batch.contextLength };
  const { arenaBytes, constantBytes } = graphMemory(evaluationGraph(model, shape));
  return parameterCount(model) * FLOAT_BYTES + ARENA_FACTOR * arenaBytes + 2 * constantBytes;
}

/** The predicted peak of the process, in bytes. */
export function totalBytes(parts: MemoryParts): number {
  return Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
}

type Work = { readonly activations: number; readonly copies: number };

/** What a share of the sequences needs, and what the runtime copies beside it. */
function workOf(request: MemoryRequest, sequences: number): Work {
  const { model, batch, recomputation } = request;
  const { contextLength } = batch;
  const micro = { model, sequences, contextLength, share: 1 };
  const repeats = request.microBatch < batch.sequences;
  const flat = parameterCount(model) * FLOAT_BYTES;
  if (recomputation === "none") {
    const { arenaBytes, constantBytes } = graphMemory(gradientGraph(micro));
    // The binding copies every output; a second micro-batch has gradients of its own.
    const activations = ARENA_FACTOR * arenaBytes;
    return { activations, copies: flat + (repeats ? flat : 0) + 2 * constantBytes };
  }
  const graphs = Object.values(blockGraphs(micro)).map(graphMemory);
  // Each graph's session keeps its arena.
  const arenas = graphs.reduce((sum, { arenaBytes }) => sum + arenaBytes, 0);
  const constants = graphs.reduce((sum, { constantBytes }) => sum + constantBytes, 0);
  const states = keptStates(model) * sequences * contextLength * FLOAT_BYTES;
  const largest = largestPart(model) * FLOAT_BYTES;
  return {
    activations: states + ARENA_FACTOR * arenas,
    copies: largest * (repeats ? 2 : 1) + 2 * constants,
  };
}

/** Numbers per token that are kept: each block's input and middle, the last output, a slope. */
function keptStates(model: ModelConfig): number {
  const { layerCount, hiddenSize } = decoderOf(model);
  return (2 * layerCount + 2) * hiddenSize;
}

/** The weights of a block, or of embedding, last norm and head. */
function largestPart(model: ModelConfig): number {
  const decoder = decoderOf(model);
  const prefix = decoder.blockPrefix(0);
  const size = (inside: boolean): number =>
    weightInputs(model)
      .filter(({ name }) => name.startsWith(prefix) === inside)
      .reduce((sum, input) => sum + input.size, 0);
  const block = size(true);
  return Math.max(block, parameterCount(model) - decoder.layerCount * block);
}

function optimizerBytes({ model, optimizer }: MemoryRequest): number {
  const places = parameterPlaces(model);
  const size = (some: readonly ParameterPlace[]): number =>
    some.reduce((sum, place) => sum + place.size * FLOAT_BYTES, 0);
  const all = size(places);
  if (!optimizer.muon) return 2 * all;
  const matrices = places.filter(isBlockMatrix);
  const graph = muonGraph(matrices, optimizer.muon);
  const outputs = [...graph.outputs.values()].reduce((sum, y) => sum + sizeOf(y.shape), 0);
  // Momentum; a second moment of the rest; directions, updates, and the binding's copy of those.
  const buffers = all + (all - size(matrices)) + 3 * outputs * FLOAT_BYTES;
  return buffers + ARENA_FACTOR * graphMemory(graph).arenaBytes;
}
