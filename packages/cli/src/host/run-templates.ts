// What an owner gets who only chooses a size: a run file for each template, of any device's reach.
// Not the page's words for them: apps/web/src/texts.ts.
import type { NewRun } from "@manyhands/coordinator/server/owner-routes";

type Size = {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly contextLength: number;
  readonly innerSteps: number;
};

/** 0.13, 0.8 and 12.6 million parameters. */
const SIZES: Readonly<Record<NewRun["template"], Size>> = {
  tiny: {
    ...{ hiddenSize: 64, intermediateSize: 176, layers: 2, heads: 4 },
    ...{ contextLength: 64, innerSteps: 10 },
  },
  small: {
    ...{ hiddenSize: 128, intermediateSize: 320, layers: 4, heads: 4 },
    ...{ contextLength: 128, innerSteps: 10 },
  },
  medium: {
    ...{ hiddenSize: 384, intermediateSize: 1_024, layers: 7, heads: 6 },
    ...{ contextLength: 256, innerSteps: 10 },
  },
};

export type TemplateFacts = Pick<NewRun, "name" | "template" | "tokens"> & {
  /** Beside the run file. */
  readonly dataFile: string;
  readonly seed: number;
};

/** The run file's text. One device is enough to begin; others join when they come. */
export function runFileText({ name, template, tokens, dataFile, seed }: TemplateFacts): string {
  const size = SIZES[template];
  return `# Made by "manyhands host" from the template "${template}".
name: ${JSON.stringify(name)}
model:
  vocabSize: 256
  hiddenSize: ${size.hiddenSize}
  intermediateSize: ${size.intermediateSize}
  numHiddenLayers: ${size.layers}
  numAttentionHeads: ${size.heads}
  numKeyValueHeads: ${size.heads}
  maxPositionEmbeddings: ${size.contextLength}
  tieWordEmbeddings: false
tokenizer: bytes
data:
  files: [${JSON.stringify(dataFile)}]
  validation: 0.1
recipe:
  optimizer: muon
  learningRate: 0.02
  adamLearningRate: 0.006
  weightDecay: 0.1
  schedule: { warmup: 0.02, cooldown: 0.6, floor: 0.02 }
  contextLength: ${size.contextLength}
  batchSequences: 8
  innerSteps: ${size.innerSteps}
  codec: ternary
rounds:
  workersMin: 1
  wait: 20s
  evaluateEvery: 10
budget:
  tokens: ${tokens}
seed: ${seed}
`;
}
