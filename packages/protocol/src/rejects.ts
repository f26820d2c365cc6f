// Rejections: what a peer may not do, as data. docs/spec §3.7 lists each code with its rule.
// Not operating errors and not bugs: a broken disk throws, a broken invariant asserts.

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
  | "join/active"
  | "join/challenge"
  | "join/delegation"
  | "leave/not-joined"
  | "leave/run-finished"
  // committing an update
  | "commit/not-joined"
  | "commit/run-finished"
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
  | "commit/evaluation"
  | "commit/blob-missing"
  | "commit/blob-size"
  | "commit/blob-content"
  // the coordinator's own events, when a log is replayed
  | "event/order"
  | "event/run"
  | "event/tick"
  | "event/phase"
  | "event/not-due"
  | "event/round"
  | "event/root"
  | "event/position"
  | "event/audit-seed"
  | "event/aggregate"
  | "event/reason"
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
