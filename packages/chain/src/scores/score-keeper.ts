// A run's windows as they come and go: opened when their last round closes, said of by validators,
// closed by what they said, by later rounds, or by the owner. No clock, and no network.
import { err, type Result } from "@manyhands/base/result";
import { type LogEnd, lastRoundOf } from "./evidence.ts";
import type { ScoreCommit, ScoreReveal, Transcript } from "./messages.ts";
import type { ScoreStore, WindowSummary } from "./score-store.ts";
import {
  afterRounds,
  closeReveals,
  openWindow,
  type ScoreReject,
  type ScoreTerms,
  type ScoreWindow,
  sealCommits,
  takeCommit,
  takeReveal,
  transcriptOf,
} from "./score-window.ts";

export type ScoreKeeperOptions = {
  readonly store: ScoreStore;
  readonly terms: ScoreTerms;
  /** Cheap: asked at every look. */
  readonly end: () => LogEnd;
};

/** What is known for good: closed windows, from the first on, up to one that is not. */
export function knownOf(windows: readonly ScoreWindow[]): readonly Transcript[] {
  const open = windows.findIndex(({ phase }) => phase !== "closed");
  return (open < 0 ? windows : windows.slice(0, open)).map(transcriptOf);
}

export class ScoreKeeper {
  readonly #options: ScoreKeeperOptions;

  constructor(options: ScoreKeeperOptions) {
    this.#options = options;
  }

  /** The newest windows, oldest first. */
  newest(limit: number): readonly WindowSummary[] {
    this.#follow();
    return this.#options.store.newest(limit);
  }

  window(window: number): ScoreWindow | null {
    this.#follow();
    return this.#options.store.window(window);
  }

  commit(window: number, said: ScoreCommit): Result<ScoreWindow, ScoreReject> {
    return this.#change(window, (now) => takeCommit(this.#options.terms, now, said));
  }

  reveal(window: number, said: ScoreReveal): Result<ScoreWindow, ScoreReject> {
    return this.#change(window, (now) => takeReveal(this.#options.terms, now, said));
  }

  /** The first window that somebody is waited for; null if there is none. */
  waiting(): ScoreWindow | null {
    this.#follow();
    return this.#options.store.waiting()[0] ?? null;
  }

  /** How many windows are known for good: closed, and all before them too. */
  get known(): number {
    return this.waiting()?.window ?? this.#options.store.count;
  }

  /** The owner waits no longer: of every window that somebody is waited for, this phase ends. */
  endPhases(): void {
    this.#follow();
    for (const { window, phase } of this.#options.store.waiting()) {
      this.#change(window, (now) => ({
        ok: true,
        value: phase === "commit" ? sealCommits(now) : closeReveals(now),
      }));
    }
  }

  /** What the run's rounds have opened and closed. */
  #follow(): void {
    const { store, terms, end } = this.#options;
    const now = end();
    for (const one of store.waiting()) {
      if (afterRounds(terms, one, now.roundsClosed) !== one) this.#pass(one.window, now);
    }
    for (let next = store.count; ; next++) {
      const lastRound = lastRoundOf(next, terms.pay.settleEvery, now);
      if (lastRound === null) return;
      store.change(next, (there) => ({ ok: true, value: there ?? openWindow(next, lastRound) }));
      this.#pass(next, now);
    }
  }

  #pass(window: number, { roundsClosed }: LogEnd): void {
    this.#change(window, (now) => ({
      ok: true,
      value: afterRounds(this.#options.terms, now, roundsClosed),
    }));
  }

  #change(
    window: number,
    decide: (now: ScoreWindow) => Result<ScoreWindow, ScoreReject>,
  ): Result<ScoreWindow, ScoreReject> {
    return this.#options.store.change(window, (now) => {
      if (now) return decide(now);
      return err({ code: "score/window", message: `window ${window} has not ended yet` });
    });
  }
}
