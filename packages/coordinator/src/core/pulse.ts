// What keeps a run going: work that is due is done, then a timer waits for the next. A failing disk
// is waited out. Not the work itself, and not time: both come in.
import { messageOf } from "@manyhands/base/errors";
import { DiskError } from "../errors.ts";
import type { Clock } from "./ports.ts";

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;

export type PulseOptions = {
  readonly clock: Clock;
  /** Does all that is due. @returns the clock's time at which to ask again, or null */
  readonly work: () => number | null;
  /** A bug or damage: nothing can go on. */
  readonly onFailure: (error: unknown) => void;
};

export class Pulse {
  readonly #options: PulseOptions;
  #cancelTimer: () => void = () => undefined;
  #running = true;
  #busy = false;
  #retryMs = RETRY_MS_MIN;
  #trouble: string | null = null;

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running;
  }

  /** What holds the run up; null if nothing does. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Lets everything happen that is due, and sets the timer for what comes next. */
  goOn(): void {
    if (this.#busy || !this.#running) return;
    this.#busy = true;
    this.#cancelTimer();
    let next: number | null = null;
    const done = this.guarded(() => {
      next = this.#options.work();
    });
    this.#busy = false;
    if (!this.#running) return;
    const { clock } = this.#options;
    if (done) {
      this.#trouble = null;
      this.#retryMs = RETRY_MS_MIN;
    } else {
      next = clock.now() + this.#retryMs;
      this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
    }
    if (next !== null) this.#cancelTimer = clock.setTimer(next, () => this.goOn());
  }

  /**
   * A failing disk loses nothing: nobody was told, so a peer asks again and the timer tries again.
   * Everything else is a bug or damage, and ends the hosting.
   *
   * @returns whether the work was done
   */
  guarded(work: () => void): boolean {
    if (!this.#running) return false;
    try {
      work();
      return true;
    } catch (error) {
      this.#trouble = messageOf(error);
      if (error instanceof DiskError) return false;
      this.stop();
      this.#options.onFailure(error);
      return false;
    }
  }

  stop(): void {
    this.#running = false;
    this.#cancelTimer();
  }
}
