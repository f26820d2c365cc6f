// A small run, named workers and honest updates, for the tests of every package.
// Not random: the same name gives the same worker.
import { toHex, utf8 } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import type { EventOf, Join, Update } from "../events.ts";
import { type WorkerId, workerIdOf } from "../keys.ts";
import type { LlamaModel } from "../model-config.ts";
import type { Pay } from "../pay.ts";
import { type FrozenRun, freezeRun, type RoundPolicy, tokensPerStep } from "../run-config.ts";
import type { RunState } from "../state.ts";

/** 32 bytes that a word stands for. */
export function hashOf(word: string): string {
  return toHex(sha256(utf8(word)));
}

export type RunOverrides = {
  readonly innerSteps?: number;
  readonly tokens?: number | null;
  readonly minutes?: number | null;
  readonly rounds?: Partial<RoundPolicy>;
};

const POLICY: RoundPolicy = {
  workersMin: 2,
  waitMs: 30_000,
  quorumBps: 6_000,
  graceBps: 5_000,
  roundMsMax: 60_000,
  leaseMs: 60_000,
  stalenessMax: 2,
  evaluateEvery: 1_000,
  evaluateWindows: 0,
  exchange: "plain",
};

export const TEST_MODEL: LlamaModel = {
  vocabSize: 256,
  hiddenSize: 8,
  intermediateSize: 16,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  maxPositionEmbeddings: 8,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: true,
};

/** Ten inner steps of 2 sequences of 8 tokens: a whole assignment is 160 tokens. */
export function testRun(overrides: RunOverrides = {}): FrozenRun {
  return freezeRun({
    name: "test",
    model: TEST_MODEL,
    tokenizer: "bytes",
    dataset: {
      files: [{ name: "text", byteLength: 10_000, root: hashOf("text") }],
      validationBps: 1_000,
    },
    recipe: {
      optimizer: "muon",
      learningRate: 0.02,
      adamLearningRate: 0.006,
      weightDecay: 0.05,
      gradientClip: 1,
      schedule: { warmup: 0.02, cooldown: 0.6, floor: 0.02 },
      batchSequences: 2,
      contextLength: 8,
      innerSteps: overrides.innerSteps ?? 10,
      codec: "ternary",
      outer: { learningRate: 1, momentum: 0 },
    },
    rounds: { ...POLICY, ...overrides.rounds },
    budget: {
      tokens: overrides.tokens === undefined ? 100_000 : overrides.tokens,
      minutes: overrides.minutes ?? null,
    },
    seed: 1,
    fragments: [{ name: "w", shape: [4], dtype: "f32" }],
    initialWeightsRoot: hashOf("initial weights"),
  });
}

export function runCreated(run: FrozenRun, tick = 0): EventOf<"RunCreated"> {
  return {
    type: "RunCreated",
    tick,
    run,
    feedbackRoot: hashOf("no feedback"),
    stateRoot: hashOf("initial state"),
    authority: [{ algorithm: "ed25519", bytes: hashOf("coordinator") }],
  };
}

/** Terms with each share, and two attestors. */
export const TEST_PAY: Pay = {
  chain: { chainId: 7_433_000, registry: "aa".repeat(20), token: "bb".repeat(20) },
  unitsPerMillionTokens: 2_500_000,
  shares: { trainingBps: 8_000, dataBps: 1_500, storageBps: 500 },
  dataAccount: "d0".repeat(20),
  storageAccount: "50".repeat(20),
  settleEvery: 3,
  attestors: ["a1".repeat(20), "a2".repeat(20)],
  threshold: 2,
  challengeWindowSeconds: 3_600,
};

export function joinOf(name: string, numerics: Join["numerics"] = "ort-cpu"): Join {
  return {
    signingKey: { algorithm: "ed25519", bytes: hashOf(`signing key of ${name}`) },
    exchangeKey: { algorithm: "x25519", bytes: hashOf(`exchange key of ${name}`) },
    payout: null,
    numerics,
    name,
  };
}

export function workerIdFor(name: string): WorkerId {
  return workerIdOf(joinOf(name).signingKey);
}

export function workerJoined(name: string, tick: number): EventOf<"WorkerJoined"> {
  const signature = hashOf("a").repeat(2);
  return { type: "WorkerJoined", tick, join: joinOf(name), challenge: hashOf("c"), signature };
}

/** What an honest worker commits for a round that it has a part in. */
export function honestUpdate(
  state: RunState,
  workerId: WorkerId,
  round: number,
  steps?: number,
): Update {
  const { recipe } = state.run;
  const known = [...state.recent, ...(state.current ? [state.current] : [])];
  const record = known.find((one) => one.round === round);
  const assignment = record?.assignments.get(workerId);
  const innerSteps = steps ?? assignment?.innerSteps ?? 1;
  return {
    round,
    baseRoot: record?.baseRoot ?? state.stateRoot,
    data: {
      kind: "range",
      firstSample: assignment?.firstSample ?? 0,
      sampleCount: innerSteps * recipe.batchSequences,
    },
    tokens: innerSteps * tokensPerStep(recipe),
    innerSteps,
    codec: recipe.codec,
    numerics: state.workers.get(workerId)?.join.numerics ?? "ort-cpu",
    fragments: null,
    updateRoot: hashOf(`update of ${workerId} for ${round}`),
    updateBytes: 100,
    groupCount: 1,
    traceRoot: null,
    carried: [],
    metrics: { trainLossMicronats: 2_000_000, innerStepMicros: 1_000, evaluation: null },
  };
}

export function updateCommitted(
  workerId: WorkerId,
  update: Update,
  tick: number,
): EventOf<"UpdateCommitted"> {
  return {
    type: "UpdateCommitted",
    tick,
    workerId,
    update,
    signature: hashOf("signature").repeat(2),
  };
}

/** A close with stand-ins for the roots that the aggregation would find. */
export function fakeResult(state: RunState): {
  readonly aggregate: { readonly root: string; readonly byteLength: number } | null;
  readonly weightsRoot: string;
  readonly feedbackRoot: string;
  readonly stateRoot: string;
} {
  const round = state.roundsClosed;
  const moved = state.closing.length > 0;
  return {
    aggregate: moved ? { root: hashOf(`aggregate ${round}`), byteLength: 100 } : null,
    weightsRoot: moved ? hashOf(`weights after ${round}`) : state.weightsRoot,
    feedbackRoot: moved ? hashOf(`feedback after ${round}`) : state.feedbackRoot,
    stateRoot: hashOf(`state after ${round} from ${state.weightsRoot}`),
  };
}
