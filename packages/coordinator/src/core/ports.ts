// What the core needs from outside. The shell passes the real ones, the simulator and the tests
// their own.
import type { Bytes } from "@manyhands/base/bytes";
import type { SigningKey } from "@manyhands/protocol/keys";
import type { ServerMessage } from "@manyhands/protocol/messages";
import type { CoreBlobs } from "../blobs/blob-store.ts";
import type { Log, Sign, VerifySignature } from "../log/log.ts";

export type Clock = {
  /** Whole milliseconds since any fixed moment, never falling. */
  now(): number;
  /** Calls back once at that time or later. @returns a function that cancels it */
  setTimer(at: number, wake: () => void): () => void;
};

/** Which of a connection's ends it was, for the WebSocket's close code. */
export type CloseReason = "refused" | "replaced" | "left" | "expired" | "broken";

/** The other end of one control connection. Neither function calls back into the core. */
export type Peer = {
  send(message: ServerMessage): void;
  close(reason: CloseReason): void;
};

export type CorePorts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly blobs: CoreBlobs;
  /**
   * The coordinator's key, and its signature of bytes: Ed25519, so that the same bytes sign the
   * same.
   */
  readonly authority: SigningKey;
  readonly sign: Sign;
  readonly verify: VerifySignature;
  /** Unpredictable bytes: challenges, sessions, seeds. */
  readonly randomBytes: (byteCount: number) => Bytes;
  /** SHA-256 for the bulk. */
  readonly sha256: (bytes: Bytes) => Bytes;
};
