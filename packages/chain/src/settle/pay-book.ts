// Who has earned what: a fold of the run's log by the terms of its `pay`. Exact, and pure.
// Not who was paid: that is on the chain.
import { compareText } from "@manyhands/base/bytes";
import type { EventOf, RunEvent } from "@manyhands/protocol/events";
import { type WorkerId, workerIdOf } from "@manyhands/protocol/keys";
import { BPS } from "@manyhands/protocol/limits";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunState } from "@manyhands/protocol/state";
import { NO_EVIDENCE, type ScoreEvidence } from "../scores/evidence.ts";
import { type EndedWindow, type ScoredWindow, WindowBook } from "../scores/window-book.ts";

/** An account, 20 bytes in hex, and what it has earned since the run began, in smallest units. */
export type Earned = { readonly account: string; readonly cumulative: bigint };

/** A worker's side of it. */
export type WorkerAccount = {
  readonly workerId: WorkerId;
  readonly name: string;
  /** Whom its further credit goes to; null: nobody was named yet. */
  readonly account: string | null;
  readonly credit: number;
  /** Part of the credit that waits for an account. */
  readonly unnamed: number;
  /** Part of the credit that waits for its window's scores; 0 where accepted tokens count. */
  readonly unscored: number;
};

const TOKENS_OF_PRICE = 1_000_000n;

/**
 * Credit belongs to the account that its worker has named when the round closes. What a worker
 * earned before it named any goes to the first that it names. An account's tokens never fall, so
 * nothing that was paid can be owed to somebody else a second time. Where validators score, what
 * counts are not accepted tokens, but a window's tokens as its scores deal them out, once they are
 * known: earlier windows are never looked at again, so there too nothing falls.
 *
 * @source docs/spec §9.2, §9.6
 */
export class PayBook {
  readonly #pay: Pay;
  readonly #workers = new Map<WorkerId, WorkerAccount>();
  readonly #tokens = new Map<string, number>();
  readonly #windows: WindowBook | null;
  #allTokens = 0;

  /** @param evidence the scores that are known, where validators score */
  constructor(pay: Pay, evidence: ScoreEvidence = NO_EVIDENCE) {
    this.#pay = pay;
    this.#windows = pay.scores ? new WindowBook(pay, pay.scores, evidence) : null;
  }

  /** Scores that have come since. */
  know(evidence: ScoreEvidence): void {
    this.#windows?.know(evidence);
    this.#score();
  }

  /** @param state after the event */
  advance(event: RunEvent, state: RunState): void {
    if (event.type === "WorkerJoined") this.#join(event);
    if (event.type === "RoundClosed") this.#close(state, event.round);
    if (event.type === "RunFinished") this.#windows?.end();
    this.#score();
  }

  get workers(): readonly WorkerAccount[] {
    return [...this.#workers.values()];
  }

  /** Windows that wait for their scores. */
  get unscored(): readonly EndedWindow[] {
    return this.#windows?.unscored ?? [];
  }

  /** Windows whose scores are dealt out, from the first on. */
  get scored(): readonly ScoredWindow[] {
    return this.#windows?.scored ?? [];
  }

  /** Ascending by account, none of nothing. */
  earned(): readonly Earned[] {
    const { shares, dataAccount, storageAccount } = this.#pay;
    const units = new Map<string, bigint>();
    const add = (account: string | null, tokens: number, bps: number): void => {
      if (account === null) return;
      units.set(account, (units.get(account) ?? 0n) + this.#unitsOf(tokens, bps));
    };
    for (const [account, tokens] of this.#tokens) add(account, tokens, shares.trainingBps);
    add(dataAccount, this.#allTokens, shares.dataBps);
    add(storageAccount, this.#allTokens, shares.storageBps);
    return [...units]
      .filter(([, cumulative]) => cumulative > 0n)
      .sort(([a], [b]) => compareText(a, b))
      .map(([account, cumulative]) => ({ account, cumulative }));
  }

  /** ⌊tokens · unitsPerMillionTokens · bps / (10⁶ · 10⁴)⌋ */
  #unitsOf(tokens: number, bps: number): bigint {
    const price = BigInt(this.#pay.unitsPerMillionTokens) * BigInt(bps);
    return (BigInt(tokens) * price) / (TOKENS_OF_PRICE * BigInt(BPS));
  }

  #join({ join }: EventOf<"WorkerJoined">): void {
    const workerId = workerIdOf(join.signingKey);
    const before = this.#workers.get(workerId);
    const account = join.payout?.account ?? before?.account ?? null;
    const unnamed = before?.unnamed ?? 0;
    const [credit, unscored] = [before?.credit ?? 0, before?.unscored ?? 0];
    if (account !== null) this.#give(account, unnamed);
    const left = account === null ? unnamed : 0;
    const known = { workerId, name: join.name, account, credit, unscored };
    this.#workers.set(workerId, { ...known, unnamed: left });
    if (account !== null) this.#windows?.named(workerId, account);
  }

  #close(state: RunState, round: number): void {
    for (const { workerId, credit } of state.workers.values()) {
      const before = this.#workers.get(workerId);
      if (!before || before.credit === credit) continue;
      const more = credit - before.credit;
      this.#allTokens += more;
      if (this.#windows) {
        this.#windows.accept(workerId, more);
        this.#workers.set(workerId, { ...before, credit, unscored: before.unscored + more });
        continue;
      }
      this.#workers.set(workerId, { ...before, credit });
      this.#credit(workerId, more, before.account);
    }
    this.#windows?.closeRound(round, (workerId) => this.#workers.get(workerId)?.account ?? null);
  }

  /** What became of the windows whose scores are known by now. */
  #score(): void {
    for (const { workerId, accepted, tokens, account } of this.#windows?.deal() ?? []) {
      const worker = this.#workers.get(workerId);
      if (!worker) continue;
      this.#workers.set(workerId, { ...worker, unscored: worker.unscored - accepted });
      this.#credit(workerId, tokens, account);
    }
  }

  /** @param account whom the worker had named; null: nobody yet */
  #credit(workerId: WorkerId, tokens: number, account: string | null): void {
    const worker = this.#workers.get(workerId);
    if (account !== null) this.#give(account, tokens);
    else if (worker) {
      this.#workers.set(workerId, { ...worker, unnamed: worker.unnamed + tokens });
    }
  }

  #give(account: string, tokens: number): void {
    this.#tokens.set(account, (this.#tokens.get(account) ?? 0) + tokens);
  }
}
