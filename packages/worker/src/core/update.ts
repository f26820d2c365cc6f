// Chapter 4: an update's way. Kept on disk, uploaded, committed, answered, settled; never lost,
// never built twice. Not how it was computed: round.ts.
import { fromHex, toHex } from "@manyhands/base/bytes";
import { hashLeaf } from "@manyhands/base/hash";
import type { ServerMessageOf } from "@manyhands/protocol/messages";
import { updateLeaf } from "@manyhands/protocol/roots";
import { logHeadSigningBytes } from "@manyhands/protocol/signing";
import { arm, type CoreState, endWith, notice, send, type Turn } from "./state.ts";
import type { StoredUpdate } from "./stored.ts";
import type { Answer, Job, PendingUpdate } from "./types.ts";

/**
 * A commit that is not answered is sent again after so long; after some, the connection is given
 * up.
 */
const ANSWER_MS = 20_000;
const UNANSWERED_MAX = 3;
const UPLOADS_MAX = 3;

export function pendingFrom(stored: StoredUpdate, restored: boolean): PendingUpdate {
  return {
    ...stored,
    stage: "stored",
    maybeUploaded: restored,
    uploads: 0,
    unanswered: 0,
    receipt: null,
  };
}

/** On a new connection nothing is known to have arrived. */
export function reopenUpdate(state: CoreState): void {
  const { pending } = state;
  if (!pending || answerOf(pending)) return;
  pending.maybeUploaded ||= pending.uploads > 0;
  pending.stage = "stored";
  pending.uploads = 0;
  pending.unanswered = 0;
}

/** The next job for the update on its way. A commit is a message, not a job: it is sent here. */
export function nextUpdateJob(turn: Turn): Job | null {
  const { state } = turn;
  const { pending, run } = state;
  if (!pending || !run) return null;
  const late = state.roundsClosed - pending.update.round > run.rounds.stalenessMax;
  // If it may have been committed before, only the coordinator knows whether it counts.
  if (late && pending.stage === "stored" && !pending.maybeUploaded) {
    pending.stage = "refused";
    notice(turn, `The update of round ${pending.update.round} is too late; it is carried over.`);
  }
  const answer = answerOf(pending);
  if (answer) return settleJob(state, pending, answer);
  if (state.link !== "joined") return null;
  if (pending.stage === "stored" && !pending.maybeUploaded) {
    return { kind: "upload", root: pending.update.updateRoot };
  }
  if (pending.stage === "stored" || pending.stage === "uploaded") commit(turn, pending);
  return null;
}

function answerOf({ stage }: PendingUpdate): Answer | null {
  return stage === "accepted" || stage === "refused" || stage === "unusable" ? stage : null;
}

function settleJob(state: CoreState, pending: PendingUpdate, answer: Answer): Job {
  const { settledRounds, acceptedUpdates, tokensGiven } = state.ledger;
  const accepted = answer === "accepted";
  return {
    kind: "settle",
    answer,
    ledger: {
      settledRounds: Math.max(settledRounds, pending.update.round + 1),
      acceptedUpdates: acceptedUpdates + (accepted ? 1 : 0),
      tokensGiven: tokensGiven + (accepted ? pending.update.tokens : 0),
    },
    receipt: pending.receipt,
  };
}

function commit(turn: Turn, pending: PendingUpdate): void {
  pending.stage = "committed";
  send(turn, { type: "commit", update: pending.update, signature: pending.signature });
  arm(turn, "answer", ANSWER_MS);
}

export function onUploaded({ state }: Turn): void {
  const { pending } = state;
  if (!pending) return;
  pending.uploads += 1;
  if (pending.stage === "stored") pending.stage = "uploaded";
}

/** @returns true if the link should be given up */
export function onAnswerTimer({ state }: Turn): boolean {
  const { pending } = state;
  if (pending?.stage !== "committed") return false;
  pending.unanswered += 1;
  pending.stage = "uploaded";
  return pending.unanswered >= UNANSWERED_MAX;
}

export function onReceipt(turn: Turn, receipt: ServerMessageOf<"receipt">): void {
  const { config, state } = turn;
  const { pending } = state;
  if (!pending || pending.stage === "accepted") return;
  const { update } = pending;
  if (receipt.round !== update.round || receipt.updateRoot !== update.updateRoot) return;
  const leaf = updateLeaf(config.runId, config.identity.workerId, update);
  if (receipt.leaf !== leaf || receipt.head !== chained(receipt)) {
    endWith(turn, "diverged", `The receipt for round ${update.round} is for something else.`);
    return;
  }
  if (!signedByAuthority(turn, receipt)) {
    const sentence = `The receipt for round ${update.round} lacks the coordinator's signature.`;
    endWith(turn, "diverged", sentence);
    return;
  }
  arm(turn, "answer", null);
  pending.receipt = receipt;
  pending.stage = "accepted";
}

/** Only a signed head binds the coordinator to what it acknowledged. */
function signedByAuthority({ config, state }: Turn, receipt: ServerMessageOf<"receipt">): boolean {
  const bytes = logHeadSigningBytes(config.runId, receipt.head);
  return state.authority.some((key) => config.verify(key, bytes, receipt.signature));
}

function chained({ previousHead, entry }: ServerMessageOf<"receipt">): string {
  return toHex(hashLeaf("manyhands/log/v1", fromHex(previousHead), fromHex(entry)));
}

/** @returns false if the refusal is not about our update */
export function onCommitReject(turn: Turn, reject: ServerMessageOf<"reject">): boolean {
  const { pending } = turn.state;
  const { code, message } = reject;
  if (!pending || reject.round !== pending.update.round) return false;
  if (!code.startsWith("commit/") || code === "commit/not-joined") return false;
  if (pending.stage !== "committed") return true;
  arm(turn, "answer", null);
  if (code === "commit/blob-missing" && pending.uploads < UPLOADS_MAX) {
    pending.stage = "stored";
    pending.maybeUploaded = false;
  } else if (code === "commit/blob-content") {
    pending.stage = "unusable";
    notice(turn, `The update of round ${reject.round} is dropped with its residual: ${message}`);
  } else {
    refuse(turn, `${message} (${code})`);
  }
  return true;
}

/** The update will not count; what it held goes back into the residual. */
export function refuse(turn: Turn, why: string): void {
  const { pending } = turn.state;
  if (!pending) return;
  pending.stage = "refused";
  notice(
    turn,
    `The update of round ${pending.update.round} was refused, and is carried over: ${why}`,
  );
}
