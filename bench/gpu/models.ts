// What the GPU benchmark trains, how many operations a token costs, and the machine's own peak.
// It deliberately measures nothing.
import { isGpt2, type ModelConfig, parameterPlaces } from "@manyhands/engine/model/config";
import { type BenchModel, MODELS } from "../engine/models.ts";

/** GPT-2 124M: 12 layers of 768, 12 heads, 50,257 words, contexts of 1,024, tied head. */
const GPT2_124M: ModelConfig = {
  modelType: "gpt2",
  vocabSize: 50_257,
  nPositions: 1024,
  nEmbd: 768,
  nLayer: 12,
  nHead: 12,
  nInner: 3072,
  layerNormEpsilon: 1e-5,
  tieWordEmbeddings: true,
};

/** For software adapters: whether everything works, not how fast. The words are GPT-2's too. */
const TINY: ModelConfig = {
  vocabSize: 256,
  hiddenSize: 32,
  intermediateSize: 96,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 16,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};

const TINY_GPT2: ModelConfig = {
  ...GPT2_124M,
  nPositions: 16,
  nEmbd: 32,
  nLayer: 1,
  nHead: 2,
  nInner: 64,
};

export const GPU_MODELS: readonly BenchModel[] = [
  {
    name: "tiny",
    shape: "gpt2",
    config: TINY_GPT2,
    batch: { sequences: 2, contextLength: 16 },
    stepsPerTurn: 2,
  },
  {
    name: "tiny",
    shape: "llama",
    config: TINY,
    batch: { sequences: 2, contextLength: 16 },
    stepsPerTurn: 2,
  },
  ...MODELS.map((model) => ({ ...model, stepsPerTurn: model.name === "small" ? 50 : 20 })),
  {
    name: "124m",
    shape: "gpt2",
    config: GPT2_124M,
    batch: { sequences: 4, contextLength: 1024 },
    stepsPerTurn: 5,
  },
];

/**
 * Operations of a training step per token: 6 P + 12 L C T, forward and backward. P are the
 * parameters of matrix products: all matrices, a tied table once as the head, no embedding that is
 * only looked up. Attention counts whole, not only the half that the mask leaves; work done twice
 * does not count.
 *
 * @source Chowdhery et al. 2022, "PaLM", appendix B
 */
export function flopsPerToken({ config, batch }: BenchModel): number {
  const isHeadToo = config.tieWordEmbeddings;
  const products = parameterPlaces(config).filter(({ name, shape }) => {
    const isTable = /embed_tokens|wte/.test(name);
    return shape.length === 2 && !name.includes("wpe") && (!isTable || isHeadToo);
  });
  const parameters = products.reduce((sum, { size }) => sum + size, 0);
  const [layers, width] = isGpt2(config)
    ? [config.nLayer, config.nEmbd]
    : [config.numHiddenLayers, config.hiddenSize];
  return 6 * parameters + 12 * layers * width * batch.contextLength;
}

/** Sides of the square products that the peak is the best of. */
export const PEAK_SIDES = [1024, 2048, 4096, 8192] as const;
