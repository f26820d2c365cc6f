// Control messages between a worker and the coordinator, as JSON text frames over one WebSocket.
// Bytes of models and updates never travel here: they go over HTTP, by content address.
import {
  type Decoded,
  flag,
  hex,
  integer,
  list,
  nullable,
  object,
  oneOf,
  tagged,
  text,
} from "@manyhands/base/decode";
import { authorityDecoder, finishReasonDecoder, joinFields, updateDecoder } from "./events.ts";
import {
  CLOSED_ROUNDS_MAX,
  EVALUATE_WINDOWS_MAX,
  INNER_STEPS_MAX,
  NAME_CHARS_MAX,
  POSITION_END,
} from "./limits.ts";
import { frozenRunDecoder } from "./run-config.ts";

const hash = hex(32);
const round = integer(0, 2 ** 32);

/** What one worker has to do in one round; a function of the state and the round's seed. */
export const assignmentDecoder = object({
  innerSteps: integer(1, INNER_STEPS_MAX),
  firstSample: integer(0),
  sampleCount: integer(1),
  /** This worker's share of the evaluation of the base: windows of the validation split. */
  evaluate: nullable(object({ windows: list(integer(0), { min: 1, max: EVALUATE_WINDOWS_MAX }) })),
});
export type Assignment = Decoded<typeof assignmentDecoder>;

const roundFields = {
  round,
  baseRoot: hash,
  seed: hash,
  position: integer(0, POSITION_END),
  /** Where the schedule is expected to stand after this round: see innerStepScale. */
  positionAfter: integer(0, POSITION_END),
  /** Null for a worker that joined after the round had opened. */
  assignment: nullable(assignmentDecoder),
} as const;
const roundInfoDecoder = object(roundFields);
export type RoundInfo = Decoded<typeof roundInfoDecoder>;

/** What a follower needs to take the step of a closed round, and to check it. */
export const closedRoundDecoder = object({
  round,
  aggregate: nullable(object({ root: hash, byteLength: integer(1) })),
  weightsRoot: hash,
  feedbackRoot: hash,
  stateRoot: hash,
});
export type ClosedRound = Decoded<typeof closedRoundDecoder>;

export const clientMessageDecoder = tagged("type", {
  hello: object({
    type: oneOf("hello"),
    protocolVersion: integer(1),
    kernelSet: text(NAME_CHARS_MAX),
    runId: nullable(hash),
    /** Admission token, from the fragment of the join URL. */
    token: text(128),
  }),
  join: object({ type: oneOf("join"), ...joinFields, signature: hex(64) }),
  commit: object({ type: oneOf("commit"), update: updateDecoder, signature: hex(64) }),
  /** Not logged; keeps the lease. What the worker is doing, for people who watch. */
  heartbeat: object({
    type: oneOf("heartbeat"),
    doing: oneOf("waiting", "fetching", "training", "evaluating", "uploading", "leaving"),
    innerStep: integer(0, INNER_STEPS_MAX),
    innerSteps: integer(0, INNER_STEPS_MAX),
    tokensPerSecond: integer(0),
  }),
  leave: object({ type: oneOf("leave") }),
});
export type ClientMessage = Decoded<typeof clientMessageDecoder>;

export const serverMessageDecoder = tagged("type", {
  challenge: object({
    type: oneOf("challenge"),
    protocolVersion: integer(1),
    kernelSet: text(NAME_CHARS_MAX),
    runId: hash,
    challenge: hash,
  }),
  welcome: object({
    type: oneOf("welcome"),
    workerId: hash,
    /** Bearer of this connection's blob requests. */
    session: hash,
    run: frozenRunDecoder,
    /** Whose signatures receipts carry: RunCreated's. */
    authority: authorityDecoder,
    /** The newest stored weights: state after `rounds` closed rounds. */
    checkpoint: object({ rounds: round, root: hash, byteLength: integer(4), stateRoot: hash }),
    /** Rounds closed since that checkpoint, in order. */
    closed: list(closedRoundDecoder, { max: CLOSED_ROUNDS_MAX }),
    current: nullable(roundInfoDecoder),
    paused: flag,
  }),
  round: object({ type: oneOf("round"), ...roundFields }),
  receipt: object({
    type: oneOf("receipt"),
    round,
    updateRoot: hash,
    /** The update's hashed leaf and its link in the log's chain: head = H(previousHead, entry). */
    leaf: hash,
    sequence: integer(0),
    previousHead: hash,
    entry: hash,
    head: hash,
    /** The authority's signature of `head` (docs/spec §3.2). */
    signature: hex(64),
  }),
  closed: object({ type: oneOf("closed"), closed: closedRoundDecoder }),
  paused: object({ type: oneOf("paused") }),
  resumed: object({ type: oneOf("resumed") }),
  finished: object({ type: oneOf("finished"), reason: finishReasonDecoder, stateRoot: hash }),
  reject: object({
    type: oneOf("reject"),
    code: text(NAME_CHARS_MAX),
    message: text(1_024),
    /** The round of a refused commitment, else null. */
    round: nullable(round),
  }),
});
export type ServerMessage = Decoded<typeof serverMessageDecoder>;
export type ServerMessageOf<T extends ServerMessage["type"]> = Extract<ServerMessage, { type: T }>;
