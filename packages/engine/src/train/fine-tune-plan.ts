// How much memory a fine-tuning will take on Node's CPU, part by part, before any of it is taken.
// It deliberately allocates nothing but graphs, which are small.
import { type AdapterConfig, adapterCount } from "../adapters/config.ts";
import type { Graph } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import { type ModelConfig, parameterCount, parameterSpecs } from "../model/config.ts";
import { graphMemory } from "../plan/graph-memory.ts";
import { type MemoryParts, predictMemory } from "../plan/predict-memory.ts";
import { storedPlaces } from "../quantize/base-model.ts";
import { type BaseKind, storedKind } from "../quantize/kinds.ts";
import { type AdapterSetup, adapterBlocks, embedGraph, layersByKind } from "./adapter-graphs.ts";
import type { BatchShape } from "./batch-shape.ts";
import { headPieces, lossGraph, normedGraph, pieceGraph } from "./head-graphs.ts";
import { TUNE_DEFAULTS } from "./tuner.ts";

export type FineTunePlanRequest = {
  readonly model: ModelConfig;
  /** How the base is stored; without adapters float32, whatever is said here. */
  readonly kind: BaseKind;
  /** Absent: all weights train. */
  readonly adapter?: AdapterConfig | undefined;
  /** One micro-batch. */
  readonly batch: BatchShape;
  /** Without adapters: as createFullTuner's. Default "none". */
  readonly recomputation?: "none" | "blocks";
};

/** Bytes, and how many weights train. */
export type FineTunePlan = {
  /** The frozen weights as they are stored; 0 where all train. */
  readonly baseBytes: number;
  /** What trains, and its gradients. */
  readonly trainableBytes: number;
  readonly optimizerBytes: number;
  readonly activationBytes: number;
  /** Node, ONNX Runtime, and what they copy. */
  readonly workBytes: number;
  readonly totalBytes: number;
  readonly trainables: number;
};

const FLOAT_BYTES = 4;
/** Node with ONNX Runtime, eight sessions and their tables: bench/results/finetune.md. */
const RUNTIME_BYTES = 205e6;
/** As in predict-memory.ts: what arenas touch beyond our model of them. */
const ARENA_FACTOR = 1.1;

/** The predicted peak of the process. */
export function planFineTuning(request: FineTunePlanRequest): FineTunePlan {
  const { adapter } = request;
  const parts = adapter ? adapterParts({ ...request, adapter }) : fullParts(request);
  const { trainables, ...bytes } = parts;
  const totalBytes = Object.values(bytes).reduce((sum, own) => sum + own, 0);
  return { ...parts, totalBytes };
}

type Parts = Omit<FineTunePlan, "totalBytes">;

function fullParts({ model, batch, recomputation = "none" }: FineTunePlanRequest): Parts {
  const adamw = { ...TUNE_DEFAULTS, learningRate: 1 };
  const optimizer = { gradientNormMax: TUNE_DEFAULTS.gradientNormMax, adamw };
  const request = { model, optimizer, batch, microBatch: batch.sequences, recomputation };
  const parts: MemoryParts = predictMemory({ ...request, threads: 1 });
  return {
    baseBytes: 0,
    trainableBytes: parts.weights + parts.gradients,
    optimizerBytes: parts.optimizer,
    activationBytes: parts.activations,
    workBytes: parts.runtime + parts.other,
    trainables: parameterCount(model),
  };
}

function adapterParts(request: FineTunePlanRequest & { readonly adapter: AdapterConfig }): Parts {
  const { model, kind, adapter, batch } = request;
  const trainables = adapterCount(model, adapter);
  const graphs = graphsOf({ model, kind, adapter, batch }).map(graphMemory);
  const sum = (of: (memory: (typeof graphs)[number]) => number): number =>
    graphs.reduce((total, memory) => total + of(memory), 0);
  const { layerCount, hiddenSize } = decoderOf(model);
  // Each block's input and middle, the last output, two slopes; rows, and what pieces leave.
  const states = (2 * layerCount + 3 + 6) * hiddenSize * batch.sequences * batch.contextLength;
  return {
    baseBytes: storedPlaces(model, kind).bytes,
    trainableBytes: 2 * trainables * FLOAT_BYTES,
    optimizerBytes: 2 * trainables * FLOAT_BYTES,
    // Each graph's session keeps its arena.
    activationBytes: states * FLOAT_BYTES + ARENA_FACTOR * sum(({ arenaBytes }) => arenaBytes),
    workBytes: RUNTIME_BYTES + 2 * sum(({ constantBytes }) => constantBytes),
    trainables,
  };
}

/** Every graph that a step runs. */
function graphsOf(setup: AdapterSetup): readonly Graph[] {
  const { model, kind, batch } = setup;
  const decoder = decoderOf(model);
  const head = parameterSpecs(model).find(({ name }) => name === decoder.headName);
  const spec = head ?? { name: decoder.headName, shape: [1, 1] };
  const [vocabulary = 1, width = 1] = spec.shape;
  const pieces = headPieces(vocabulary, batch.sequences * batch.contextLength, width);
  const own = storedKind(spec, kind);
  const blocks = [...layersByKind(setup).values()].flatMap((layer) =>
    Object.values(adapterBlocks(setup, layer, true)),
  );
  return [
    ...[embedGraph(setup), normedGraph(setup), lossGraph(setup, true), ...blocks],
    ...[...new Set(pieces)].map((size) => pieceGraph(setup, { size, kind: own }, true)),
  ];
}
