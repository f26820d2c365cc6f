// Every bound of the server on what strangers may ask of it. docs/limits.md gives the reasons.
import { MESSAGE_BYTES_MAX } from "@manyhands/protocol/limits";

export type ServerLimits = {
  /** Open TCP connections, in all and from one address. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** A control connection must say hello and join within this time. */
  readonly joinMs: number;
  /** A connection without a byte for so long is closed; control connections have leases instead. */
  readonly idleMs: number;
  /** Messages of one control connection: a burst, and then so many per second. */
  readonly messagesBurst: number;
  readonly messagesPerSecond: number;
  /** Unsent bytes to one worker, beyond one whole welcome; then it is too slow and is let go. */
  readonly unsentBytesMax: number;
};

export const SERVER_LIMITS: ServerLimits = {
  connectionsMax: 4_096,
  connectionsPerAddressMax: 512,
  joinMs: 20_000,
  idleMs: 120_000,
  messagesBurst: 60,
  messagesPerSecond: 20,
  unsentBytesMax: 32 * 1024 * 1024,
};

/**
 * Beyond the protocol's limit a frame is refused with its code; beyond this it is not even read.
 */
export const FRAME_BYTES_MAX = 2 * MESSAGE_BYTES_MAX;

/** Rounds and rows of one answer. */
export const ROUNDS_PER_ANSWER = 1_024;
export const ROWS_PER_ANSWER = 1_024;
/** Closed rounds of one answer in columns. */
export const COLUMNS_PER_ANSWER = 4_096;

/** A data file that an owner uploads to begin a run: it is kept in memory until it is stored. */
export const RUN_DATA_BYTES_MAX = 256 * 1024 * 1024;

/** Rate limit: tokens flow in with time, each message takes one. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perMs: number;
  #tokens: number;
  #at: number;

  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst;
    this.#perMs = perSecond / 1_000;
    this.#tokens = burst;
    this.#at = now;
  }

  /** @returns whether there was one */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
