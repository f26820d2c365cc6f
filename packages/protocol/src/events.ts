// The events of a run's log. All state is a fold of these; each carries its tick.
// Not the log itself: the coordinator's signature and the hash chain are coordinator/log's.
import {
  type Decoded,
  type Decoder,
  hex,
  integer,
  line,
  list,
  nullable,
  object,
  oneOf,
  tagged,
  text,
} from "@manyhands/base/decode";
import { exchangeKeyDecoder, payoutDecoder, signingKeyDecoder } from "./keys.ts";
import {
  AUTHORITY_KEYS_MAX,
  CARRIED_STATES_MAX,
  FRAGMENTS_MAX,
  INNER_STEP_MICROS_MAX,
  INNER_STEPS_MAX,
  NAME_CHARS_MAX,
  POSITION_END,
  UPDATE_BYTES_MAX,
  UPDATE_TOKENS_MAX,
} from "./limits.ts";
import { frozenRunDecoder } from "./run-config.ts";

/** Logical time of a run: milliseconds by the coordinator's clock, never falling. */
export type Tick = number;

const hash = hex(32);
const signature = hex(64);
const tick: Decoder<Tick> = integer(0);
const round = integer(0, 2 ** 32);

/**
 * The backend family that computed inner steps: results of one family agree closely, those of one
 * device exactly.
 */
const numericsDecoder = oneOf("ort-cpu", "ort-wasm", "ort-webgpu", "reference");
export type Numerics = Decoded<typeof numericsDecoder>;

export const metricsDecoder = object({
  /** Mean training loss over the inner steps, in millionths of a nat per token. */
  trainLossMicronats: integer(0),
  /** Mean wall time of an inner step. */
  innerStepMicros: integer(1, INNER_STEP_MICROS_MAX),
  /** This worker's share of a shared evaluation of the round's base, if it had one. */
  evaluation: nullable(object({ lossMicronats: integer(0), tokens: integer(1) })),
});

/** What a worker signs about its update. */
const updateFields = {
  round,
  /** State root that the inner steps started from. */
  baseRoot: hash,
  data: tagged("kind", {
    range: object({
      kind: oneOf("range"),
      firstSample: integer(0),
      sampleCount: integer(1),
    }),
    private: object({ kind: oneOf("private") }),
  }),
  tokens: integer(1, UPDATE_TOKENS_MAX),
  innerSteps: integer(1, INNER_STEPS_MAX),
  codec: oneOf("q8", "ternary", "sign"),
  numerics: numericsDecoder,
  /** Indices of the covered fragments; null for all of them. */
  fragments: nullable(list(integer(0, FRAGMENTS_MAX - 1), { min: 1, max: FRAGMENTS_MAX })),
  updateRoot: hash,
  updateBytes: integer(1, UPDATE_BYTES_MAX),
  /** Devices whose sum this is; 1 for a single device. */
  groupCount: integer(1, 1_024),
  /** Root of intermediate states for audits by bisection; null while no audit uses it. */
  traceRoot: nullable(hash),
  /** State carried from round to round (error feedback, momentum), before and after. */
  carried: list(object({ name: text(NAME_CHARS_MAX), before: hash, after: hash }), {
    max: CARRIED_STATES_MAX,
  }),
  metrics: metricsDecoder,
} as const;

export const updateDecoder = object(updateFields);
export type Update = Decoded<typeof updateDecoder>;

export const joinFields = {
  signingKey: signingKeyDecoder,
  exchangeKey: exchangeKeyDecoder,
  payout: nullable(payoutDecoder),
  numerics: numericsDecoder,
  /** What a person calls this device. */
  name: line(NAME_CHARS_MAX),
} as const;

export const joinDecoder = object(joinFields);
export type Join = Decoded<typeof joinDecoder>;

const leaveReasonDecoder = oneOf("left", "expired", "evicted");
export type LeaveReason = Decoded<typeof leaveReasonDecoder>;

export const finishReasonDecoder = oneOf("tokens", "minutes", "stopped");
export type FinishReason = Decoded<typeof finishReasonDecoder>;

/** Who may append to the log: keys of coordinators, so that another can take over. */
export const authorityDecoder = list(signingKeyDecoder, { min: 1, max: AUTHORITY_KEYS_MAX });

export const eventDecoder = tagged("type", {
  RunCreated: object({
    type: oneOf("RunCreated"),
    tick,
    run: frozenRunDecoder,
    /** Roots of the public error feedback (all zero) and of the whole state before round 0. */
    feedbackRoot: hash,
    stateRoot: hash,
    authority: authorityDecoder,
  }),
  WorkerJoined: object({
    type: oneOf("WorkerJoined"),
    tick,
    join: joinDecoder,
    /** The challenge that the worker signed together with the run id and its join. */
    challenge: hash,
    signature,
  }),
  WorkerLeft: object({
    type: oneOf("WorkerLeft"),
    tick,
    workerId: hash,
    reason: leaveReasonDecoder,
  }),
  RoundOpened: object({
    type: oneOf("RoundOpened"),
    tick,
    round,
    baseRoot: hash,
    /** Assignment seed. */
    seed: hash,
    /** Hash of the audit seed that CommitmentsClosed reveals. */
    auditCommitment: hash,
    /** Schedule's position at opening, in millionths of the budget. */
    position: integer(0, POSITION_END),
    tokensCommitted: integer(0),
  }),
  UpdateCommitted: object({
    type: oneOf("UpdateCommitted"),
    tick,
    workerId: hash,
    update: updateDecoder,
    signature,
  }),
  CommitmentsClosed: object({ type: oneOf("CommitmentsClosed"), tick, round, auditSeed: hash }),
  RoundClosed: object({
    type: oneOf("RoundClosed"),
    tick,
    round,
    updatesRoot: hash,
    /** The compressed aggregate; null when nobody contributed and the weights stayed. */
    aggregate: nullable(object({ root: hash, byteLength: integer(1, UPDATE_BYTES_MAX) })),
    weightsRoot: hash,
    feedbackRoot: hash,
    stateRoot: hash,
    creditRoot: hash,
  }),
  RunPaused: object({ type: oneOf("RunPaused"), tick }),
  RunResumed: object({ type: oneOf("RunResumed"), tick }),
  RunFinished: object({ type: oneOf("RunFinished"), tick, reason: finishReasonDecoder }),
});
export type RunEvent = Decoded<typeof eventDecoder>;
export type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;
