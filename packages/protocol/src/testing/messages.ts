// One valid example of every event and message, for decoder tests and fuzzing.
// Not a conversation: they need not fit together.
import type { RunEvent, Update } from "../events.ts";
import type { ClientMessage, RoundInfo, ServerMessage } from "../messages.ts";
import type { RunState } from "../state.ts";
import { step } from "../step.ts";
import { KERNEL_SET } from "../version.ts";
import {
  hashOf,
  honestUpdate,
  joinOf,
  runCreated,
  testRun,
  updateCommitted,
  workerIdFor,
  workerJoined,
} from "./fixtures.ts";

const hash = hashOf("hash");
const signature = hash.repeat(2);
const run = testRun({ minutes: 5 });

function firstState(): RunState {
  const created = step(null, runCreated(run), { now: 0 });
  if (!created.ok) throw new Error(created.error.message);
  return created.value.state;
}

const update: Update = {
  ...honestUpdate(firstState(), workerIdFor("ada"), 3),
  fragments: [0],
  traceRoot: hash,
  carried: [{ name: "residual", before: hash, after: hash }],
  metrics: {
    trainLossMicronats: 1,
    innerStepMicros: 2,
    evaluation: { lossMicronats: 3, tokens: 4 },
  },
};

const closed = {
  round: 3,
  aggregate: { root: hash, byteLength: 9 },
  weightsRoot: hash,
  feedbackRoot: hash,
  stateRoot: hash,
} as const;

const info: RoundInfo = {
  round: 4,
  baseRoot: hash,
  seed: hash,
  position: 10,
  positionAfter: 20,
  assignment: { innerSteps: 2, firstSample: 0, sampleCount: 4, evaluate: { windows: [1, 2] } },
};

const payout = { account: hash.slice(0, 40), delegation: `${signature}00` };

export const EVENTS: readonly RunEvent[] = [
  runCreated(run),
  { ...workerJoined("ada", 1), join: { ...joinOf("ada"), payout } },
  {
    ...workerJoined("bob", 1),
    join: { ...joinOf("bob"), payout: { ...payout, delegation: null } },
  },
  { type: "WorkerLeft", tick: 2, workerId: hash, reason: "expired" },
  {
    type: "RoundOpened",
    tick: 3,
    round: 0,
    baseRoot: hash,
    seed: hash,
    auditCommitment: hash,
    position: 0,
    tokensCommitted: 0,
  },
  updateCommitted(hash, update, 4),
  { type: "CommitmentsClosed", tick: 5, round: 0, auditSeed: hash },
  { type: "RoundClosed", tick: 6, ...closed, updatesRoot: hash, creditRoot: hash },
  { type: "RunPaused", tick: 7 },
  { type: "RunResumed", tick: 8 },
  { type: "RunFinished", tick: 9, reason: "tokens" },
];

export const CLIENT_MESSAGES: readonly ClientMessage[] = [
  { type: "hello", protocolVersion: 1, kernelSet: KERNEL_SET, runId: hash, token: "t" },
  { type: "join", ...joinOf("ada"), signature },
  { type: "commit", update, signature },
  { type: "heartbeat", doing: "training", innerStep: 1, innerSteps: 10, tokensPerSecond: 99 },
  { type: "leave" },
];

export const SERVER_MESSAGES: readonly ServerMessage[] = [
  { type: "challenge", protocolVersion: 1, kernelSet: KERNEL_SET, runId: hash, challenge: hash },
  {
    type: "welcome",
    workerId: hash,
    session: hash,
    run,
    authority: [{ algorithm: "ed25519", bytes: hash }],
    checkpoint: { rounds: 3, root: hash, byteLength: 16, stateRoot: hash },
    closed: [closed],
    current: info,
    paused: false,
  },
  { type: "round", ...info },
  {
    type: "receipt",
    round: 3,
    updateRoot: hash,
    leaf: hash,
    sequence: 7,
    previousHead: hash,
    entry: hash,
    head: hash,
    signature,
  },
  { type: "closed", closed },
  { type: "paused" },
  { type: "resumed" },
  { type: "finished", reason: "minutes", stateRoot: hash },
  { type: "reject", code: "commit/too-late", message: "late", round: 3 },
];
