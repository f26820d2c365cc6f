// One seed's circumstances: run, devices, liars, and how bad the weather is.
// Only numbers: who acts on them is elsewhere.

import { weightsRoot } from "@manyhands/aggregation/roots";
import { toHex, utf8 } from "@manyhands/base/bytes";
import { rootOfBytes } from "@manyhands/coordinator/blobs/blob-hasher";
import { type FrozenRun, freezeRun, type RoundPolicy } from "@manyhands/protocol/run-config";
import { ELEMENTS, FRAGMENTS, hash } from "./task.ts";
import { Chance } from "./world.ts";

export type DeviceSpec = {
  readonly name: string;
  readonly stepMs: number;
  /** When it comes for the first time. */
  readonly startsAt: number;
};

/** Mean times between faults, in virtual milliseconds; null for never. */
export type Weather = {
  readonly coordinatorCrashMs: number | null;
  readonly crashInWriteMs: number | null;
  readonly workerCrashMs: number | null;
  readonly cutMs: number | null;
  readonly silenceMs: number | null;
  readonly leaveMs: number | null;
  readonly diskFullMs: number | null;
  readonly pauseMs: number | null;
};

export type Scenario = {
  readonly seed: number;
  readonly run: FrozenRun;
  readonly weights: Float32Array;
  readonly text: Uint8Array;
  readonly devices: readonly DeviceSpec[];
  readonly liars: readonly string[];
  readonly checkpointEvery: number;
  readonly weather: Weather;
  /** The owner stops the run at this moment; null for never. */
  readonly stopAt: number | null;
};

const NAMES = ["ada", "bob", "cleo", "dan", "eve", "finn"] as const;
const STREAM = 1;

export function scenarioOf(seed: number): Scenario {
  const chance = new Chance(seed, STREAM);
  const devices = devicesOf(chance);
  const liars = chance.happens(0.7) ? ["mallory", "trudy"].slice(0, chance.between(1, 2)) : [];
  const text = utf8("The quick brown fox jumps over the lazy dog. ".repeat(40));
  const weights = new Float32Array(ELEMENTS);
  return {
    seed,
    run: runOf({ chance, seed, text, weights, workers: devices.length }),
    weights,
    text,
    devices,
    liars,
    checkpointEvery: chance.between(1, 6),
    weather: weatherOf(chance),
    stopAt: chance.happens(0.1) ? chance.between(5_000, 40_000) : null,
  };
}

function devicesOf(chance: Chance): DeviceSpec[] {
  const usual = chance.between(20, 120);
  const slow = chance.happens(0.6) ? chance.between(0, 5) : null;
  return NAMES.slice(0, chance.between(2, NAMES.length)).map((name, index) => ({
    name,
    stepMs: index === slow ? usual * chance.between(3, 12) : usual,
    startsAt: index > 0 && chance.happens(0.25) ? chance.between(1_000, 30_000) : index,
  }));
}

function weatherOf(chance: Chance): Weather {
  const sometimes = (least: number, most: number): number | null =>
    chance.happens(0.75) ? chance.between(least, most) : null;
  return {
    coordinatorCrashMs: sometimes(5_000, 40_000),
    crashInWriteMs: sometimes(3_000, 30_000),
    workerCrashMs: sometimes(2_000, 20_000),
    cutMs: sometimes(1_000, 10_000),
    silenceMs: sometimes(5_000, 30_000),
    leaveMs: sometimes(8_000, 40_000),
    diskFullMs: sometimes(10_000, 60_000),
    pauseMs: sometimes(10_000, 60_000),
  };
}

type RunParts = {
  readonly chance: Chance;
  readonly seed: number;
  readonly text: Uint8Array;
  readonly weights: Float32Array;
  readonly workers: number;
};

function runOf({ chance, seed, text, weights, workers }: RunParts): FrozenRun {
  const innerSteps = chance.between(3, 12);
  const [batchSequences, contextLength] = [2, 8];
  const tokensPerRound = workers * innerSteps * batchSequences * contextLength;
  const byMinutes = chance.happens(0.15);
  return freezeRun({
    name: `simulation ${seed}`,
    model: {
      vocabSize: 256,
      hiddenSize: 8,
      intermediateSize: 8,
      numHiddenLayers: 1,
      numAttentionHeads: 1,
      numKeyValueHeads: 1,
      maxPositionEmbeddings: contextLength,
      rmsNormEps: 1e-5,
      ropeTheta: 10_000,
      tieWordEmbeddings: false,
    },
    tokenizer: "bytes",
    dataset: {
      files: [{ name: "text", byteLength: text.length, root: rootOfBytes(text) }],
      validationBps: 2_000,
    },
    recipe: {
      optimizer: "adamw",
      learningRate: 0.05,
      adamLearningRate: 0.05,
      weightDecay: 0,
      gradientClip: 1,
      schedule: { warmup: 0.02, cooldown: 0.5, floor: 0.1 },
      batchSequences,
      contextLength,
      innerSteps,
      codec: chance.pick(["q8", "ternary", "sign"] as const),
      outer: { learningRate: 1, momentum: 0 },
    },
    rounds: policyOf(chance, workers),
    budget: {
      tokens: byMinutes ? null : tokensPerRound * chance.between(15, 35),
      minutes: byMinutes ? chance.between(20, 60) / 60 : null,
    },
    seed,
    fragments: FRAGMENTS,
    initialWeightsRoot: toHex(weightsRoot(FRAGMENTS, weights, hash)),
  });
}

function policyOf(chance: Chance, workers: number): RoundPolicy {
  return {
    workersMin: chance.between(1, workers),
    waitMs: chance.between(0, 5_000),
    quorumBps: chance.between(2_000, 10_000),
    graceBps: chance.between(0, 10_000),
    roundMsMax: chance.between(2_000, 15_000),
    leaseMs: chance.between(2_000, 10_000),
    stalenessMax: chance.between(0, 4),
    evaluateEvery: chance.between(1, 5),
    evaluateWindows: chance.between(0, 12),
    exchange: "plain",
  };
}
