// Leases: who was heard of, and when. Volatile: a heartbeat is not logged, only its absence is
// (WorkerLeft).
import type { WorkerId } from "@manyhands/protocol/keys";

/**
 * A timer that comes so much too late says that this process was held up, not that workers are
 * gone.
 */
const HELD_UP_MS = 250;

export class Leases {
  readonly #leaseMs: number;
  readonly #heardAt = new Map<WorkerId, number>();

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  renew(workerId: WorkerId, now: number): void {
    this.#heardAt.set(workerId, now);
  }

  end(workerId: WorkerId): void {
    this.#heardAt.delete(workerId);
  }

  /** When the next lease ends; null without any. */
  nextEnd(): number | null {
    let first: number | null = null;
    for (const heardAt of this.#heardAt.values()) {
      const end = heardAt + this.#leaseMs;
      if (first === null || end < first) first = end;
    }
    return first;
  }

  /**
   * Whose lease has ended. If even the first has ended long ago, then nobody was listening:
   * messages that renew leases may be waiting to be read, so everybody gets a fresh lease once.
   */
  expired(now: number): readonly WorkerId[] {
    const first = this.nextEnd();
    if (first === null || first > now) return [];
    if (now - first > Math.max(HELD_UP_MS, this.#leaseMs / 4)) {
      for (const workerId of this.#heardAt.keys()) this.#heardAt.set(workerId, now);
      return [];
    }
    return [...this.#heardAt]
      .filter(([, heardAt]) => heardAt + this.#leaseMs <= now)
      .map(([workerId]) => workerId);
  }
}
