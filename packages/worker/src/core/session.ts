// Chapter 1: the connection. Hello, challenge, join, welcome; heartbeats; coming back after a cut.
// Not what is done once joined: follow.ts and round.ts.

import { canonicalJson } from "@manyhands/base/canonical";
import type { Join } from "@manyhands/protocol/events";
import type { ClientMessage, ServerMessageOf } from "@manyhands/protocol/messages";
import { runIdOf } from "@manyhands/protocol/run-config";
import { joinSigningBytes } from "@manyhands/protocol/signing";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import { onWelcomeRounds } from "./follow.ts";
import { onRound } from "./round.ts";
import { arm, endWith, jitterMs, notice, send, type Turn } from "./state.ts";
import type { EndReason, JobKind, WorkerInput } from "./types.ts";
import { reopenUpdate } from "./update.ts";

/** No welcome after so long: the connection is given up. */
const GREETING_MS = 30_000;
const HEARTBEAT_MS_MAX = 5_000;
/** A change of what we do is told at once, but not more often than this. */
const HEARTBEAT_MS_MIN = 1_000;
/** A joined worker that hears nothing for so many leases, and this long, comes back anew. */
const SILENT_LEASES = 4;
const SILENCE_MS_MIN = 60_000;
const RECONNECT_STREAM = 1;
/** Replaced twice within so long, it is another process; once, it may be our own late join. */
const REPLACED_AGAIN_MS = 60_000;
/** Close code of a connection whose worker has joined on a newer one (docs/spec §5). */
const CLOSE_REPLACED = 4001;

export function connect(turn: Turn): void {
  turn.state.link = "opening";
  turn.effects.push({ kind: "connect" });
}

export function onConnected(turn: Turn): void {
  const { config, state } = turn;
  if (state.link !== "opening") return;
  state.link = "greeting";
  arm(turn, "greeting", GREETING_MS);
  send(turn, {
    type: "hello",
    protocolVersion: PROTOCOL_VERSION,
    kernelSet: KERNEL_SET,
    runId: config.runId,
    token: config.token,
  });
}

export function onDisconnected(
  turn: Turn,
  input: Extract<WorkerInput, { kind: "disconnected" }>,
): void {
  const { state } = turn;
  if (state.link === "down") return;
  const { replacedAt } = state;
  if (input.code === CLOSE_REPLACED) state.replacedAt = turn.now;
  const again = replacedAt !== null && turn.now - replacedAt < REPLACED_AGAIN_MS;
  if (input.code === CLOSE_REPLACED && again) {
    const sentence =
      "Another process joined with this device's key. Stopping here: two would get in each " +
      "other's way. Give each worker a folder of its own.";
    endWith(turn, "replaced", sentence);
  }
  if (input.httpStatus === 404 && !state.everJoined) {
    endWith(turn, "unknown-run", "The coordinator at this address does not know this run.");
  }
  dropped(turn, input.why);
}

/** Leaves a connection that is of no use any more, and comes back later. */
export function reconnect(turn: Turn, why: string): void {
  turn.effects.push({ kind: "disconnect" });
  dropped(turn, why);
}

function dropped(turn: Turn, why: string): void {
  const { state } = turn;
  const wasJoined = state.link === "joined";
  state.link = "down";
  state.linkTrouble = why;
  turn.effects.push({ kind: "session", token: null });
  for (const timer of ["greeting", "heartbeat", "silence", "answer"] as const) {
    arm(turn, timer, null);
  }
  reopenUpdate(state);
  if (state.leaving) return;
  const waitMs = jitterMs(turn, RECONNECT_STREAM, state.attempts);
  state.attempts += 1;
  arm(turn, "reconnect", waitMs);
  if (wasJoined || state.attempts === 1) {
    notice(turn, `Not connected: ${why}. Trying again until it works.`);
  }
}

export function onChallenge(turn: Turn, message: ServerMessageOf<"challenge">): void {
  const { config, state } = turn;
  if (state.link !== "greeting") return;
  const mismatch = mismatchOf(turn, message);
  if (mismatch) {
    endWith(turn, mismatch.reason, mismatch.sentence);
    return;
  }
  const join: Join = {
    signingKey: config.identity.signingKey,
    exchangeKey: config.identity.exchangeKey,
    payout: config.payout ?? null,
    numerics: config.numerics,
    name: config.name,
  };
  const signed = joinSigningBytes(config.runId, message.challenge, join);
  state.link = "joining";
  send(turn, { type: "join", ...join, signature: config.identity.sign(signed) });
}

function mismatchOf(
  turn: Turn,
  message: ServerMessageOf<"challenge">,
): { reason: EndReason; sentence: string } | null {
  if (message.protocolVersion !== PROTOCOL_VERSION) {
    const sentence =
      `The coordinator speaks protocol version ${message.protocolVersion}, this worker ` +
      `${PROTOCOL_VERSION}. Take the worker that the coordinator itself serves.`;
    return { reason: "protocol-mismatch", sentence };
  }
  if (message.kernelSet !== KERNEL_SET) {
    const sentence =
      `The run is computed with kernel set ${message.kernelSet}, this worker has ` +
      `${KERNEL_SET}. Take the worker that the coordinator itself serves.`;
    return { reason: "kernel-mismatch", sentence };
  }
  if (message.runId !== turn.config.runId) {
    return { reason: "unknown-run", sentence: "The coordinator answers for another run." };
  }
  return null;
}

export function onWelcome(turn: Turn, message: ServerMessageOf<"welcome">): void {
  const { config, state } = turn;
  if (state.link !== "joining") return;
  if (message.workerId !== config.identity.workerId) {
    endWith(turn, "refused", "The coordinator welcomed us under another worker's name.");
    return;
  }
  if (state.run === null ? !acceptRun(turn, message) : !sameAuthority(turn, message)) return;
  state.link = "joined";
  state.attempts = 0;
  state.everJoined = true;
  state.linkTrouble = "";
  state.paused = message.paused;
  state.jobFailures = 0;
  state.waiting = false;
  arm(turn, "again", null);
  arm(turn, "greeting", null);
  turn.effects.push({ kind: "session", token: message.session });
  armHeartbeat(turn);
  reopenUpdate(state);
  onWelcomeRounds(turn, message);
  state.round = null;
  if (message.current) onRound(turn, message.current);
}

/** The run is what its id says, and this version can follow it. */
function acceptRun(turn: Turn, { run, authority }: ServerMessageOf<"welcome">): boolean {
  if (runIdOf(run) !== turn.config.runId) {
    endWith(turn, "refused", "The run that the coordinator sent is not the one that its id names.");
    return false;
  }
  if (run.recipe.outer.momentum > 0) {
    const sentence = "The run has an outer momentum, which this version cannot pick up in passing.";
    endWith(turn, "unsupported", sentence);
    return false;
  }
  turn.state.run = run;
  turn.state.authority = authority;
  return true;
}

/** A run's keys are in its first event: with other ones this is another log of the same run. */
function sameAuthority(turn: Turn, { authority }: ServerMessageOf<"welcome">): boolean {
  if (canonicalJson(authority) === canonicalJson(turn.state.authority)) return true;
  const sentence =
    "The coordinator now signs with other keys than before: its log was begun anew, and our " +
    "receipts do not hold there. Join again to take part in the new one.";
  endWith(turn, "refused", sentence);
  return false;
}

const ENDS: { readonly [code: string]: EndReason } = {
  "hello/protocol-version": "protocol-mismatch",
  "hello/kernel-set": "kernel-mismatch",
  "hello/run-unknown": "unknown-run",
  "auth/token": "token",
  "auth/signature": "refused",
  "message/malformed": "refused",
  "message/too-large": "refused",
  "join/run-finished": "run-finished",
  "join/delegation": "refused",
};

/** Refusals that a fresh connection can heal. */
const HEALED_BY_RECONNECT: readonly string[] = [
  "auth/session",
  "join/challenge",
  "join/workers-full",
  "message/out-of-order",
  "message/rate",
  "commit/not-joined",
];

/** A refusal that is not about an update. */
export function onSessionReject(turn: Turn, code: string, message: string): void {
  const reason = ENDS[code];
  if (reason) endWith(turn, reason, `The coordinator refused us: ${message}`, code);
  else if (HEALED_BY_RECONNECT.includes(code)) reconnect(turn, message);
  else notice(turn, `The coordinator refused (${code}): ${message}`);
}

export function onFinished(turn: Turn, message: ServerMessageOf<"finished">): void {
  const words = {
    tokens: "its budget of tokens is spent",
    minutes: "its time is up",
    stopped: "its owner stopped it",
  } as const;
  const why = words[message.reason];
  if (turn.state.prepared) endWith(turn, "finished", `The run is finished: ${why}.`);
  else endWith(turn, "run-finished", `The run was finished before we came: ${why}.`);
}

/** Any message is a sign of life. */
export function heard(turn: Turn): void {
  const { run, link } = turn.state;
  if (link !== "joined" || !run) return;
  arm(turn, "silence", Math.max(SILENCE_MS_MIN, SILENT_LEASES * run.rounds.leaseMs));
}

export function onSilence(turn: Turn): void {
  if (turn.state.link !== "joined") return;
  if (turn.state.paused) heard(turn);
  else reconnect(turn, "the coordinator said nothing for a long time");
}

function armHeartbeat(turn: Turn): void {
  const leaseMs = turn.state.run?.rounds.leaseMs ?? HEARTBEAT_MS_MAX;
  arm(turn, "heartbeat", Math.max(1, Math.min(HEARTBEAT_MS_MAX, Math.floor(leaseMs / 4))));
}

export function onHeartbeatTimer(turn: Turn): void {
  if (turn.state.link === "joined") sendHeartbeat(turn);
}

/** Tells a change of what we do, so that people who watch see it. */
export function heartbeatOnChange(turn: Turn): void {
  const { state, now } = turn;
  if (state.link !== "joined" || doingOf(turn) === state.lastDoing) return;
  if (now - state.heartbeatAt >= HEARTBEAT_MS_MIN) sendHeartbeat(turn);
}

function sendHeartbeat(turn: Turn): void {
  const { state } = turn;
  const { innerStep, innerSteps, tokensPerSecond } = state.progress;
  const doing = doingOf(turn);
  state.heartbeatAt = turn.now;
  state.lastDoing = doing;
  send(turn, {
    type: "heartbeat",
    doing,
    innerStep,
    innerSteps,
    tokensPerSecond: Math.max(0, Math.round(tokensPerSecond)),
  });
  armHeartbeat(turn);
}

export type Doing = Extract<ClientMessage, { type: "heartbeat" }>["doing"];

const DOING: { readonly [K in JobKind]: Doing } = {
  restore: "waiting",
  prepare: "fetching",
  "load-checkpoint": "fetching",
  "list-rounds": "fetching",
  follow: "fetching",
  evaluate: "evaluating",
  train: "training",
  encode: "uploading",
  "keep-update": "uploading",
  upload: "uploading",
  settle: "uploading",
  save: "leaving",
};

export function doingOf({ state }: Pick<Turn, "state">): Doing {
  if (state.job) return DOING[state.job.job.kind];
  return state.leaving ? "leaving" : "waiting";
}
