// Valid messages, events and files, from which the fuzzer's damage starts: small, each kind once.
// A decoder that refuses one of these fails the fuzz test: then the sample is out of date.
import type { Json } from "@manyhands/base/canonical";

const HASH = "ab".repeat(32);
const SIGNATURE = "cd".repeat(64);

const join = {
  signingKey: { algorithm: "ed25519", bytes: HASH },
  exchangeKey: { algorithm: "x25519", bytes: HASH },
  payout: null,
  numerics: "ort-cpu",
  name: "a laptop",
};

const update = {
  round: 3,
  baseRoot: HASH,
  data: { kind: "range", firstSample: 64, sampleCount: 32 },
  tokens: 4_096,
  innerSteps: 10,
  codec: "ternary",
  numerics: "ort-cpu",
  fragments: [0, 1],
  updateRoot: HASH,
  updateBytes: 1_234,
  groupCount: 1,
  traceRoot: null,
  carried: [{ name: "feedback", before: HASH, after: HASH }],
  metrics: {
    trainLossMicronats: 1_500_000,
    innerStepMicros: 30_000,
    evaluation: { lossMicronats: 1_600_000, tokens: 512 },
  },
};

export const CLIENT_MESSAGES: readonly [Json, ...Json[]] = [
  { type: "hello", protocolVersion: 1, kernelSet: "ort-1.30.0", runId: HASH, token: "secret" },
  { type: "join", ...join, signature: SIGNATURE },
  { type: "commit", update, signature: SIGNATURE },
  { type: "heartbeat", doing: "training", innerStep: 3, innerSteps: 10, tokensPerSecond: 900 },
  { type: "leave" },
];

const closed = {
  round: 3,
  aggregate: { root: HASH, byteLength: 900 },
  weightsRoot: HASH,
  feedbackRoot: HASH,
  stateRoot: HASH,
};

export const SERVER_MESSAGES: readonly [Json, ...Json[]] = [
  {
    type: "round",
    round: 4,
    baseRoot: HASH,
    seed: HASH,
    position: 1_000,
    positionAfter: 2_000,
    assignment: {
      innerSteps: 10,
      firstSample: 0,
      sampleCount: 80,
      evaluate: { windows: [1, 2, 3] },
    },
  },
  { type: "closed", closed },
  { type: "closed", closed: { ...closed, aggregate: null } },
  { type: "finished", reason: "tokens", stateRoot: HASH },
  { type: "reject", code: "commit/too-late", message: "round 3 has closed", round: 3 },
  { type: "paused" },
];

export const EVENTS: readonly [Json, ...Json[]] = [
  { type: "WorkerJoined", tick: 5, join, challenge: HASH, signature: SIGNATURE },
  { type: "WorkerLeft", tick: 9, workerId: HASH, reason: "expired" },
  {
    type: "RoundOpened",
    tick: 6,
    round: 0,
    baseRoot: HASH,
    seed: HASH,
    auditCommitment: HASH,
    position: 0,
    tokensCommitted: 0,
  },
  { type: "UpdateCommitted", tick: 7, workerId: HASH, update, signature: SIGNATURE },
  { type: "CommitmentsClosed", tick: 8, round: 0, auditSeed: HASH },
  {
    type: "RoundClosed",
    tick: 8,
    ...closed,
    updatesRoot: HASH,
    creditRoot: HASH,
  },
  { type: "RunFinished", tick: 99, reason: "minutes" },
];

export const RUN_FILE = `name: a small run
model:
  vocabSize: 256
  hiddenSize: 64
  intermediateSize: 176
  numHiddenLayers: 2
  numAttentionHeads: 4
  numKeyValueHeads: 2
  maxPositionEmbeddings: 64
data:
  files: [input.txt]
recipe:
  learningRate: 0.02
  batchSequences: 8
  contextLength: 64
  innerSteps: 10
rounds:
  wait: 5s
  quorum: 0.6
budget: { tokens: 1000000, minutes: null } # whichever ends first
`;

export const MODEL_CONFIG = {
  vocabSize: 256,
  hiddenSize: 64,
  intermediateSize: 176,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 64,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
};
