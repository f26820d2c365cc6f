// A run small enough for tests: two tensors, one short data file, rounds of one inner step.
import { initialState, sharedStateRoots } from "@manyhands/aggregation/close-round";
import { toHex, utf8 } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import { type FrozenRun, freezeRun, type RoundPolicy } from "@manyhands/protocol/run-config";
import { platformSha256, rootOfBytes } from "../blobs/blob-hasher.ts";
import { roundRulesOf } from "../core/rules.ts";

const FRAGMENTS: FrozenRun["fragments"] = [
  { name: "model.embed_tokens.weight", shape: [40, 8], dtype: "f32" },
  { name: "model.norm.weight", shape: [8], dtype: "f32" },
];
const ELEMENTS = 40 * 8 + 8;

const ROUNDS: RoundPolicy = {
  workersMin: 1,
  waitMs: 1_000,
  quorumBps: 6_000,
  graceBps: 5_000,
  roundMsMax: 60_000,
  leaseMs: 10_000,
  stalenessMax: 2,
  evaluateEvery: 2,
  evaluateWindows: 2,
  exchange: "plain",
};

export type TinyRun = {
  readonly run: FrozenRun;
  readonly weights: Float32Array;
  readonly files: readonly Uint8Array[];
};

export type TinyRunOptions = {
  readonly seed?: number;
  /** Tokens of the budget; one update has 32 per inner step. */
  readonly tokens?: number;
  readonly rounds?: Partial<RoundPolicy>;
};

export function randomFloats(count: number, seed: number, scale = 0.1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => (random.unit() - 0.5) * 2 * scale);
}

export function tinyRun(options: TinyRunOptions = {}): TinyRun {
  const seed = options.seed ?? 1;
  const file = utf8("The quick brown fox jumps over the lazy dog. ".repeat(40));
  const weights = randomFloats(ELEMENTS, seed);
  const draft = freezeRun({
    name: "tiny",
    model: {
      vocabSize: 256,
      hiddenSize: 8,
      intermediateSize: 8,
      numHiddenLayers: 1,
      numAttentionHeads: 1,
      numKeyValueHeads: 1,
      maxPositionEmbeddings: 16,
      rmsNormEps: 1e-5,
      ropeTheta: 10_000,
      tieWordEmbeddings: true,
    },
    tokenizer: "bytes",
    dataset: {
      files: [{ name: "fox.txt", byteLength: file.length, root: rootOfBytes(file) }],
      validationBps: 1_000,
    },
    recipe: {
      optimizer: "adamw",
      learningRate: 0.01,
      adamLearningRate: 0.006,
      weightDecay: 0.05,
      gradientClip: 1,
      schedule: { warmup: 0.02, cooldown: 0.6, floor: 0.02 },
      batchSequences: 2,
      contextLength: 16,
      innerSteps: 2,
      codec: "q8",
      outer: { learningRate: 1, momentum: 0 },
    },
    rounds: { ...ROUNDS, ...options.rounds },
    budget: { tokens: options.tokens ?? 1_000_000, minutes: null },
    seed,
    fragments: FRAGMENTS,
    initialWeightsRoot: "00".repeat(32),
  });
  const state = initialState(draft.fragments, weights, roundRulesOf(draft).outer);
  const initialWeightsRoot = toHex(sharedStateRoots(state, 0, platformSha256).weightsRoot);
  return { run: { ...draft, initialWeightsRoot }, weights, files: [file] };
}
