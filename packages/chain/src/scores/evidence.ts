// What was said of a run's windows, from the first on, and which settlement has which of it.
// Not who keeps it: a coordinator has it in its store, an attestor in the bundles that it read.
import { fromHex, toHex, utf8 } from "@manyhands/base/bytes";
import { canonicalJson } from "@manyhands/base/canonical";
import { type Decoded, hex, integer, list, object } from "@manyhands/base/decode";
import { hashLeaf, sha256 } from "@manyhands/base/hash";
import { err, ok, type Result } from "@manyhands/base/result";
import { type Transcript, transcriptDecoder } from "./messages.ts";
import { replayTranscript, type ScoreReject, type ScoreTerms } from "./score-window.ts";

/** Windows of one settlement; a bundle is read whole, so there are not arbitrarily many. */
const WINDOWS_MAX = 4_096;

/** A bundle's part of it: the windows that no settlement before has. */
export const bundleScoresDecoder = object({
  /** How many windows the settlements before cover, and the root over those. */
  before: integer(0),
  beforeRoot: hex(32),
  windows: list(transcriptDecoder, { max: WINDOWS_MAX }),
});
export type BundleScores = Decoded<typeof bundleScoresDecoder>;

type InBundle = { readonly sequence: number; readonly scores?: BundleScores | undefined };

export class ScoreEvidence {
  /** From the first window on. */
  readonly windows: readonly Transcript[];
  readonly #roots: readonly string[];
  /** By settlement: how many windows it and those before it cover. */
  readonly #covered: ReadonlyMap<number, number>;

  constructor(windows: readonly Transcript[], settlements: readonly InBundle[]) {
    this.windows = windows;
    const roots = ["00".repeat(32)];
    for (const one of windows) roots.push(nextRoot(roots.at(-1) ?? "", one));
    this.#roots = roots;
    this.#covered = new Map(
      settlements.map(({ sequence, scores }) => [
        sequence,
        (scores?.before ?? 0) + (scores?.windows.length ?? 0),
      ]),
    );
  }

  /**
   * All that a run's settlements hold, if each goes on where the one before ended.
   *
   * @param settlements from the first on
   */
  static ofBundles(settlements: readonly InBundle[]): Result<ScoreEvidence, string> {
    const windows: Transcript[] = [];
    let root = "00".repeat(32);
    for (const { sequence, scores } of settlements) {
      if (!scores) return err(`settlement ${sequence} has no scores`);
      if (scores.before !== windows.length || scores.beforeRoot !== root) {
        return err(`settlement ${sequence} does not go on from the scores of those before it`);
      }
      windows.push(...scores.windows);
      for (const one of scores.windows) root = nextRoot(root, one);
    }
    return ok(new ScoreEvidence(windows, settlements));
  }

  /** What the bundle of a settlement has, if it covers so many windows in all. */
  partOf(sequence: number, covered: number): BundleScores {
    const before = this.#covered.get(sequence - 1) ?? 0;
    const beforeRoot = this.#roots[before] ?? "";
    return { before, beforeRoot, windows: this.windows.slice(before, covered) };
  }
}

export const NO_EVIDENCE = new ScoreEvidence([], []);

/** H("manyhands/scores/v1", root, SHA-256 of the transcript's canonical text) */
function nextRoot(root: string, transcript: Transcript): string {
  const text = sha256(utf8(canonicalJson(transcript)));
  return toHex(hashLeaf("manyhands/scores/v1", fromHex(root), text));
}

/** How far a run's log has come. */
export type LogEnd = { readonly roundsClosed: number; readonly isFinished: boolean };

/** The last round of a window; null before it ends. A finished run's last one may be shorter. */
export function lastRoundOf(window: number, settleEvery: number, end: LogEnd): number | null {
  const last = (window + 1) * settleEvery - 1;
  if (last < end.roundsClosed) return last;
  const hasBegun = window * settleEvery < end.roundsClosed;
  return end.isFinished && hasBegun ? end.roundsClosed - 1 : null;
}

/** What is wrong with the evidence by a run's terms and log; null if all of it holds. */
export function evidenceProblem(
  terms: ScoreTerms,
  { windows }: ScoreEvidence,
  end: LogEnd,
): ScoreReject | null {
  for (const [number, transcript] of windows.entries()) {
    const lastRound = lastRoundOf(number, terms.pay.settleEvery, end);
    if (transcript.window !== number || transcript.lastRound !== lastRound) {
      const found = `window ${transcript.window} that ends with round ${transcript.lastRound}`;
      const ends = lastRound === null ? "has not ended" : `ends with round ${lastRound}`;
      const message = `window ${number} ${ends} by the log, found ${found}`;
      return { code: "score/window", message };
    }
    const replayed = replayTranscript(terms, transcript);
    if (!replayed.ok) return replayed.error;
  }
  return null;
}

/** Which window a round belongs to. */
export function windowOf(round: number, settleEvery: number): number {
  return Math.floor(round / settleEvery);
}
