// The worker as a reducer: inputs in, effects out, no I/O. The same class runs in Node, in a
// browser and in the simulator. Not a state machine in one table: five chapters change one state,
// `proceed` derives what comes next.
//
// | chapter    | decides                                                          |
// | ---------- | ---------------------------------------------------------------- |
// | session.ts | hello, join, welcome; heartbeats; when to come back              |
// | follow.ts  | how the weights here become the coordinator's newest             |
// | round.ts   | what an assignment becomes: evaluation, inner steps, an update   |
// | update.ts  | how that update is sent, answered and settled                    |
// | jobs.ts    | which of all that comes next, and what results and failures mean |

import type { ServerMessage } from "@manyhands/protocol/messages";
import { onClosed } from "./follow.ts";
import { exit, leave, leaveEnd, onAgain, onDone, onFailed, proceed } from "./jobs.ts";
import { onRound } from "./round.ts";
import {
  connect,
  heard,
  heartbeatOnChange,
  onChallenge,
  onConnected,
  onDisconnected,
  onFinished,
  onHeartbeatTimer,
  onSessionReject,
  onSilence,
  onWelcome,
  reconnect,
} from "./session.ts";
import { type CoreState, initialState, type Turn } from "./state.ts";
import { type CoreStatus, statusOf } from "./status.ts";
import type { CoreConfig, Now, TimerName, WorkerEffect, WorkerInput } from "./types.ts";
import { onAnswerTimer, onCommitReject, onReceipt } from "./update.ts";

export class WorkerCore {
  readonly #config: CoreConfig;
  readonly #state: CoreState = initialState();

  constructor(config: CoreConfig) {
    this.#config = config;
  }

  /** What follows from one input. After the effect `exit` every input is ignored. */
  handle(input: WorkerInput, now: Now): readonly WorkerEffect[] {
    if (this.#state.ended) return [];
    const turn: Turn = { config: this.#config, state: this.#state, now, effects: [] };
    take(turn, input);
    proceed(turn);
    if (!this.#state.ended) heartbeatOnChange(turn);
    return turn.effects;
  }

  status(): CoreStatus {
    return statusOf(this.#state);
  }
}

function take(turn: Turn, input: WorkerInput): void {
  const { state } = turn;
  switch (input.kind) {
    case "started":
      connect(turn);
      return;
    case "connected":
      onConnected(turn);
      return;
    case "disconnected":
      onDisconnected(turn, input);
      return;
    case "message":
      takeMessage(turn, input.message);
      return;
    case "timer":
      takeTimer(turn, input.timer);
      return;
    case "progress":
      state.progress = { ...state.progress, ...progressOf(input) };
      return;
    case "done":
      onDone(turn, input.id, input.outcome);
      return;
    case "failed":
      onFailed(turn, input.id, input.failure);
      return;
    case "stop":
      if (input.mode === "graceful") leave(turn);
      else exit(turn, { reason: "forced", sentence: "Stopped at once, as asked.", code: null });
  }
}

function progressOf(input: Extract<WorkerInput, { kind: "progress" }>) {
  const { innerStep, loss, tokensPerSecond } = input;
  return { innerStep, loss, tokensPerSecond };
}

function takeMessage(turn: Turn, message: ServerMessage): void {
  heard(turn);
  switch (message.type) {
    case "challenge":
      onChallenge(turn, message);
      return;
    case "welcome":
      onWelcome(turn, message);
      heard(turn);
      return;
    case "finished":
      onFinished(turn, message);
      return;
    case "reject":
      turn.state.lastReject = { code: message.code, message: message.message };
      if (!onCommitReject(turn, message)) onSessionReject(turn, message.code, message.message);
      return;
  }
  if (turn.state.link !== "joined") return;
  switch (message.type) {
    case "round":
      onRound(turn, message);
      return;
    case "receipt":
      onReceipt(turn, message);
      return;
    case "closed":
      onClosed(turn, message.closed);
      return;
    case "paused":
      turn.state.paused = true;
      return;
    case "resumed":
      turn.state.paused = false;
  }
}

function takeTimer(turn: Turn, timer: TimerName): void {
  const { state } = turn;
  switch (timer) {
    case "reconnect":
      if (state.link === "down") connect(turn);
      return;
    case "greeting":
      if (state.link !== "joined") reconnect(turn, "the coordinator did not answer our greeting");
      return;
    case "heartbeat":
      onHeartbeatTimer(turn);
      return;
    case "silence":
      onSilence(turn);
      return;
    case "answer":
      if (onAnswerTimer(turn)) reconnect(turn, "the coordinator does not answer our commitment");
      return;
    case "again":
      onAgain(turn);
      return;
    case "leave":
      exit(turn, leaveEnd());
  }
}
