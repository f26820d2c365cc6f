// A run's windows along its log: what was accepted in each, whose it was when the window ended, and
// how its scores deal it out once they are known. Not money, and not who may score.
import type { WorkerId } from "@manyhands/protocol/keys";
import type { Pay } from "@manyhands/protocol/pay";
import { type ScoreEvidence, windowOf } from "./evidence.ts";
import { type WindowTokens, windowTokens } from "./window-tokens.ts";

/** A window that is dealt out. */
export type ScoredWindow = Pick<WindowTokens, "trustBps" | "agreedBps"> & {
  readonly window: number;
  readonly lastRound: number;
  /** Of all accepted updates. */
  readonly accepted: number;
  /** Of them, those that are paid for. */
  readonly dealt: number;
};

/** One worker's part of a window. */
export type Dealt = {
  readonly workerId: WorkerId;
  readonly accepted: number;
  readonly tokens: number;
  /** Whom it had named when the window ended, else whom it named first since; null: nobody yet. */
  readonly account: string | null;
};

/** A window whose rounds are closed, by its workers. */
export type EndedWindow = {
  readonly window: number;
  readonly lastRound: number;
  readonly accepted: ReadonlyMap<WorkerId, number>;
  readonly accounts: ReadonlyMap<WorkerId, string | null>;
};

/**
 * Windows are `settleEvery` rounds each; the last one of a finished run may be shorter. They are
 * dealt out in order, each once.
 *
 * @source docs/spec §9.6
 */
export class WindowBook {
  readonly #pay: Pay;
  readonly #validators: NonNullable<Pay["scores"]>;
  readonly #scored: ScoredWindow[] = [];
  /** Ended, and not dealt out. */
  readonly #ended: EndedWindow[] = [];
  /** Who named whom first. */
  readonly #first = new Map<WorkerId, string>();
  #evidence: ScoreEvidence;
  #accepted = new Map<WorkerId, number>();
  #window = 0;
  #lastRound: number | null = null;
  /** Whom each had named when that round was closed. */
  #accounts: ReadonlyMap<WorkerId, string | null> = new Map();

  constructor(pay: Pay, scores: NonNullable<Pay["scores"]>, evidence: ScoreEvidence) {
    this.#pay = pay;
    this.#validators = scores;
    this.#evidence = evidence;
  }

  get scored(): readonly ScoredWindow[] {
    return this.#scored;
  }

  get unscored(): readonly EndedWindow[] {
    return this.#ended;
  }

  know(evidence: ScoreEvidence): void {
    this.#evidence = evidence;
  }

  named(workerId: WorkerId, account: string): void {
    if (!this.#first.has(workerId)) this.#first.set(workerId, account);
  }

  accept(workerId: WorkerId, tokens: number): void {
    this.#accepted.set(workerId, (this.#accepted.get(workerId) ?? 0) + tokens);
  }

  /** @param accountOf whom a worker has named now */
  closeRound(round: number, accountOf: (workerId: WorkerId) => string | null): void {
    this.#lastRound = round;
    this.#accounts = new Map([...this.#accepted.keys()].map((id) => [id, accountOf(id)]));
    const { settleEvery } = this.#pay;
    const isLast = windowOf(round + 1, settleEvery) > this.#window;
    if (isLast || this.#evidence.windows[this.#window]?.lastRound === round) this.end();
  }

  /** The window ends here, if it has any round: by its length, or because the run is finished. */
  end(): void {
    const lastRound = this.#lastRound;
    if (lastRound === null) return;
    const [accepted, accounts] = [this.#accepted, this.#accounts];
    this.#ended.push({ window: this.#window, lastRound, accepted, accounts });
    this.#accepted = new Map();
    this.#lastRound = null;
    this.#window += 1;
  }

  /** The windows whose scores are known by now, worker by worker. */
  deal(): readonly Dealt[] {
    const dealt: Dealt[] = [];
    for (;;) {
      const [ended] = this.#ended;
      const transcript = ended && this.#evidence.windows[ended.window];
      if (!ended || !transcript) return dealt;
      this.#ended.shift();
      dealt.push(...this.#dealOut(ended, transcript.reveals));
    }
  }

  #dealOut(ended: EndedWindow, reveals: Parameters<typeof windowTokens>[2]): readonly Dealt[] {
    const { window, lastRound, accepted, accounts } = ended;
    const { tokens, ...words } = windowTokens(this.#validators, accepted, reveals);
    const sumOf = (parts: ReadonlyMap<WorkerId, number>): number =>
      [...parts.values()].reduce((sum, one) => sum + one, 0);
    const sums = { accepted: sumOf(accepted), dealt: sumOf(tokens) };
    this.#scored.push({ window, lastRound, ...sums, ...words });
    return [...tokens].map(([workerId, own]) => ({
      workerId,
      accepted: accepted.get(workerId) ?? 0,
      tokens: own,
      account: accounts.get(workerId) ?? this.#first.get(workerId) ?? null,
    }));
  }
}
