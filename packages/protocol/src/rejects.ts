// Rejections: what a peer may not do, as data. Each code stands in docs/spec/03-protocol.md with the same name.

export type RejectCode =
  // talking at all
  | "hello/protocol-version"
  | "hello/kernel-set"
  | "hello/run-unknown"
  | "auth/token"
  | "auth/session"
  | "auth/signature"
  | "message/malformed"
  | "message/too-large"
  | "message/out-of-order"
  | "message/rate"
  // joining and leaving
  | "join/run-finished"
  | "join/workers-full"
  | "join/challenge"
  | "leave/not-joined"
  // committing an update
  | "commit/not-joined"
  | "commit/run-not-training"
  | "commit/round-unknown"
  | "commit/too-late"
  | "commit/not-assigned"
  | "commit/duplicate"
  | "commit/base-root"
  | "commit/data-range"
  | "commit/tokens"
  | "commit/inner-steps"
  | "commit/codec"
  | "commit/numerics"
  | "commit/fragments"
  | "commit/group"
  | "commit/blob-missing"
  | "commit/blob-size"
  | "commit/blob-content"
  // the coordinator's own events, when a log is replayed
  | "event/order"
  | "event/tick"
  | "event/phase"
  | "event/round"
  | "event/root"
  | "event/position"
  | "event/authority"
  // bytes
  | "blob/unknown"
  | "blob/sealed"
  | "blob/too-large"
  | "blob/hash"
  | "blob/quota";

/** A refusal: its code, and a sentence with the facts that says what was expected and what came. */
export type Reject = { readonly code: RejectCode; readonly message: string };

export function reject(code: RejectCode, message: string): Reject {
  return { code, message };
}
