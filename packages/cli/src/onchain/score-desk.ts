// What a coordinator with a settler tells of its windows' scores, and takes from validators.
// Not what may be said: packages/chain's score-window.ts.
import { canonicalJson } from "@manyhands/base/canonical";
import { type Decoder, problemText } from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import { commitDecoder, revealDecoder } from "@manyhands/chain/scores/messages";
import type { ScoreKeeper } from "@manyhands/chain/scores/score-keeper";
import type { WindowSummary } from "@manyhands/chain/scores/score-store";
import {
  type ScoreReject,
  type ScoreWindow,
  transcriptOf,
} from "@manyhands/chain/scores/score-window";
import type { ScoreDesk, ScoreEntry, ScoreRefusal } from "@manyhands/coordinator/score-desk";
import { accountText } from "../pay/account.ts";

/** Who comes late has missed no more than these. */
const LISTED_MAX = 64;

export function scoreDesk(keeper: ScoreKeeper): ScoreDesk {
  return {
    list: () => keeper.newest(LISTED_MAX).map(entryOf),
    transcript: (window) => {
      const found = keeper.window(window);
      return found ? canonicalJson(transcriptOf(found)) : null;
    },
    commit: (window, said) => taken(commitDecoder, said, (commit) => keeper.commit(window, commit)),
    reveal: (window, said) => taken(revealDecoder, said, (reveal) => keeper.reveal(window, reveal)),
  };
}

function entryOf({ committed, revealed, ...rest }: WindowSummary): ScoreEntry {
  const [committers, revealers] = [committed.map(accountText), revealed.map(accountText)];
  return { ...rest, committed: committers, revealed: revealers };
}

function taken<T>(
  decoder: Decoder<T>,
  said: unknown,
  take: (decoded: T) => Result<ScoreWindow, ScoreReject>,
): Result<null, ScoreRefusal> {
  const decoded = decoder(said);
  if (!decoded.ok) return err({ code: "score/malformed", message: problemText(decoded.error) });
  const result = take(decoded.value);
  return result.ok ? ok(null) : result;
}

/** Whom a window waits for, in a sentence. */
export function waitingText(
  { window, lastRound, phase, commits, reveals }: ScoreWindow,
  validators: number,
): string {
  const place = `The scores of window ${window} (up to round ${lastRound})`;
  const command = "`manyhands score`";
  return phase === "commit"
    ? `${place}: ${commits.size} of ${validators} validators have committed: ${command}.`
    : `${place}: ${reveals.size} of ${commits.size} are revealed: ${command}.`;
}
