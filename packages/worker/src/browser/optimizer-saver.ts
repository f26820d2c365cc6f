// When the optimiser's state is kept: after each round's inner steps, within long rounds now and
// then, and when the page goes out of sight. Not what is kept: host/persistence.ts.
import { writeOptimizer } from "../host/persistence.ts";
import type { OptimizerArrays, RunFiles } from "../host/ports.ts";

/** Within a round so often. */
const SAVE_MS = 60_000;
/** Writing takes at most this share of the time: a slow disk keeps large states more rarely. */
const SHARE = 0.05;

export class OptimizerSaver {
  readonly #files: RunFiles;
  readonly #state: () => OptimizerArrays | null;
  readonly #now: () => number;
  #savedAt: number;
  #tookMs = 0;

  constructor(
    files: RunFiles,
    state: () => OptimizerArrays | null,
    now: () => number = () => performance.now(),
  ) {
    this.#files = files;
    this.#state = state;
    this.#now = now;
    this.#savedAt = now();
  }

  /** The page may be on its way to be closed: the next step's end is a good moment. */
  hurry(): void {
    this.#savedAt = Number.NEGATIVE_INFINITY;
  }

  /** After a step. */
  async saveNowAndThen(): Promise<void> {
    if (this.#now() - this.#savedAt >= SAVE_MS) await this.save();
  }

  async save(): Promise<void> {
    const startedAt = this.#now();
    if (startedAt - this.#savedAt < this.#tookMs / SHARE) return;
    const state = this.#state();
    // A full disk is no reason to stop: what must not be lost is written elsewhere.
    if (state) await writeOptimizer(this.#files, state).catch(() => undefined);
    this.#savedAt = this.#now();
    this.#tookMs = this.#savedAt - startedAt;
  }
}
