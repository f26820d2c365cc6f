// Sessions: bearer tokens of workers for their blob requests. In memory only: after a restart a
// worker joins again.
import { toHex, utf8 } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import type { WorkerId } from "@manyhands/protocol/keys";

/** An upload that began before a reconnect may end after it. */
const SESSIONS_PER_WORKER = 2;

export class Sessions {
  readonly #workers = new Map<string, WorkerId>();
  readonly #newest = new Map<WorkerId, readonly string[]>();

  add(session: string, workerId: WorkerId): void {
    const key = keyOf(session);
    this.#workers.set(key, workerId);
    const all = [...(this.#newest.get(workerId) ?? []), key];
    for (const old of all.slice(0, -SESSIONS_PER_WORKER)) this.#workers.delete(old);
    this.#newest.set(workerId, all.slice(-SESSIONS_PER_WORKER));
  }

  end(workerId: WorkerId): void {
    for (const key of this.#newest.get(workerId) ?? []) this.#workers.delete(key);
    this.#newest.delete(workerId);
  }

  workerOf(session: string): WorkerId | null {
    return this.#workers.get(keyOf(session)) ?? null;
  }
}

/** Looked up by hash, so that the time of a look-up says nothing about the token. */
function keyOf(session: string): string {
  return toHex(sha256(utf8(session)));
}
