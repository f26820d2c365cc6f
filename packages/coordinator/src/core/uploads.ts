// Which blobs may be read and written by whom. Commit before reveal: an update's bytes are not
// served before its commitments close. Not the bytes themselves: those are the blob store's.
import { err, ok, type Result } from "@manyhands/base/result";
import type { WorkerId } from "@manyhands/protocol/keys";
import { type Reject, reject } from "@manyhands/protocol/rejects";

/** Uncommitted uploads that one worker may have at once. */
const UPLOADS_PER_WORKER = 4;

type Waiting = {
  /** Null for a blob that a former process left. */
  readonly workerId: WorkerId | null;
  readonly byteLength: number;
  /** Rounds closed when it came. */
  readonly since: number;
};

/** A place in the quota, held while bytes arrive. */
export type Reservation = {
  readonly workerId: WorkerId;
  readonly root: string;
  readonly byteLength: number;
};

export class Uploads {
  readonly #byteLengthMax: number;
  readonly #public = new Set<string>();
  /** Committed, but their close has not come yet. */
  readonly #committed = new Set<string>();
  /** Uploaded, but not committed. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #arriving = new Set<Reservation>();

  /** @param byteLengthMax bytes of the largest update that the run's codec makes */
  constructor(byteLengthMax: number) {
    this.#byteLengthMax = byteLengthMax;
  }

  get byteLengthMax(): number {
    return this.#byteLengthMax;
  }

  publish(root: string): void {
    // A former process may have left it, uncommitted: it must not be removed as stale any more.
    this.#waiting.delete(root);
    this.#public.add(root);
  }

  unpublish(root: string): void {
    this.#public.delete(root);
  }

  commit(root: string): void {
    this.#waiting.delete(root);
    this.#committed.add(root);
  }

  /** The commitments are closed: everybody may read these. */
  reveal(roots: Iterable<string>): void {
    for (const root of roots) {
      this.#committed.delete(root);
      this.#public.add(root);
    }
  }

  /** May anybody read it? */
  readable(root: string): Result<null, Reject> {
    if (this.#public.has(root)) return ok(null);
    return this.#committed.has(root) || this.#waiting.has(root)
      ? err(reject("blob/sealed", `blob ${root} is an update whose round is still open`))
      : err(reject("blob/unknown", `this run has no blob ${root}`));
  }

  /** Is it part of the run, or waiting to be? Everything else in the store is left over. */
  known(root: string): boolean {
    return this.#public.has(root) || this.#committed.has(root) || this.#waiting.has(root);
  }

  reserve(reservation: Reservation): Result<Reservation, Reject> {
    const { workerId, root, byteLength } = reservation;
    if (byteLength > this.#byteLengthMax) {
      return err(
        reject(
          "blob/too-large",
          `expected at most ${this.#byteLengthMax} B, one update, found ${byteLength} B`,
        ),
      );
    }
    const others = [...this.#waiting].filter(([r, w]) => w.workerId === workerId && r !== root);
    const held =
      others.length + [...this.#arriving].filter((other) => other.workerId === workerId).length;
    if (held >= UPLOADS_PER_WORKER) {
      return err(
        reject(
          "blob/quota",
          `expected a commitment for one of ${held} uploads before the next upload`,
        ),
      );
    }
    this.#arriving.add(reservation);
    return ok(reservation);
  }

  /** The upload ended: with the blob in the store, or without. */
  settle(reservation: Reservation, kept: boolean, roundsClosed: number): void {
    this.#arriving.delete(reservation);
    const { workerId, root, byteLength } = reservation;
    if (kept && !this.known(root)) {
      this.#waiting.set(root, { workerId, byteLength, since: roundsClosed });
    }
  }

  /** A blob that a former process left, committed by nobody yet. */
  adopt(root: string, byteLength: number, roundsClosed: number): void {
    this.#waiting.set(root, { workerId: null, byteLength, since: roundsClosed });
  }

  /** Uploads that nobody can commit any more; forgotten here, so the caller removes them. */
  takeStale(roundsClosed: number, stalenessMax: number): readonly string[] {
    const stale = [...this.#waiting]
      .filter(([, { since }]) => roundsClosed - since > stalenessMax)
      .map(([root]) => root);
    for (const root of stale) this.#waiting.delete(root);
    return stale;
  }
}
