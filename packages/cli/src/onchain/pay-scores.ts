// What `manyhands pay scores` does: a run's windows as their validators scored them, and, if the
// owner says so, an end to waiting for those who do not come.

import { InputError } from "@manyhands/base/errors";
import { ScoreKeeper } from "@manyhands/chain/scores/score-keeper";
import { ScoreStore } from "@manyhands/chain/scores/score-store";
import type { ScorePhase } from "@manyhands/chain/scores/score-window";
import type { ScoredWindow } from "@manyhands/chain/scores/window-book";
import { accountText } from "../pay/account.ts";
import { findRunFolder } from "../run/run-folder.ts";
import { readPayLog } from "./pay-log.ts";
import { scoresPath } from "./score-evidence.ts";

export type WindowTold = {
  readonly window: number;
  readonly lastRound: number;
  readonly phase: ScorePhase;
  readonly committed: readonly string[];
  readonly revealed: readonly string[];
  /** Null while it is not closed. */
  readonly result: {
    readonly accepted: number;
    readonly dealt: number;
    /** Of the window, in basis points: dealt out by consensus; the rest by accepted tokens. */
    readonly agreedBps: number;
    /** By validator, in basis points: how much of what it said others agreed with. */
    readonly trustBps: Readonly<Record<string, number>>;
  } | null;
};

/**
 * @param isEnding ends the phase of every window that waits: commitments are sealed, or what is not
 * revealed by now counts as not said
 * @throws InputError for a run that nobody scores
 */
export function tellScores(given: string, isEnding: boolean): readonly WindowTold[] {
  const folder = findRunFolder(given);
  const { runId, name, pay, roundsClosed, isFinished } = readPayLog(folder);
  if (!pay.scores) {
    const hint = "Validators are named in the run file, in pay.scores, before the run begins.";
    throw new InputError(`in ${name} accepted tokens count: nobody scores it`, { hint });
  }
  const store = ScoreStore.open(scoresPath(folder));
  try {
    const end = () => ({ roundsClosed, isFinished });
    const keeper = new ScoreKeeper({ store, terms: { runId, pay }, end });
    if (isEnding) keeper.endPhases();
    const windows = keeper.newest(Number.MAX_SAFE_INTEGER);
    const { scored } = readPayLog(folder).book;
    return windows.map(({ committed, revealed, ...rest }) => ({
      ...rest,
      committed: committed.map(accountText),
      revealed: revealed.map(accountText),
      result: resultOf(scored[rest.window]),
    }));
  } finally {
    store.close();
  }
}

function resultOf(scored: ScoredWindow | undefined): WindowTold["result"] {
  if (!scored) return null;
  const { accepted, dealt, agreedBps, trustBps } = scored;
  const trust = [...trustBps].map(([account, bps]) => [accountText(account), bps] as const);
  return { accepted, dealt, agreedBps, trustBps: Object.fromEntries(trust) };
}
