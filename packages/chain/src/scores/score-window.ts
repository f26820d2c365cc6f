// Commit and reveal of one window's scores, as a state and what changes it. Pure: what is said
// comes with its signature, and time is the run's rounds. Who keeps it is elsewhere.
import { compareText, fromHex } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunId } from "@manyhands/protocol/run-config";
import { signerOf } from "@manyhands/protocol/signer";
import { type Hex, hashTypedData } from "viem";
import {
  commitmentOf,
  commitTypedData,
  revealTypedData,
  type ScoreCommit,
  type ScorePlace,
  type ScoreReveal,
  sealOf,
  type Transcript,
} from "./messages.ts";

/** docs/spec §9.6 lists each with its rule. */
export type ScoreRejectCode =
  | "score/window"
  | "score/validator"
  | "score/signature"
  | "score/late-commit"
  | "score/second-commit"
  | "score/early-reveal"
  | "score/late-reveal"
  | "score/not-committed"
  | "score/not-ascending"
  | "score/commitment"
  | "score/transcript";

export type ScoreReject = { readonly code: ScoreRejectCode; readonly message: string };

/** Of one run: who may score, and where. */
export type ScoreTerms = {
  readonly runId: RunId;
  readonly pay: Pick<Pay, "chain" | "scores" | "settleEvery">;
};

/**
 * commit: commitments are taken, none is opened · reveal: the commitments are sealed, and opened ·
 * closed: what was opened counts, who has not opened has said nothing.
 */
export type ScorePhase = "commit" | "reveal" | "closed";

export type ScoreWindow = {
  readonly window: number;
  readonly lastRound: number;
  readonly phase: ScorePhase;
  /** By validator. */
  readonly commits: ReadonlyMap<string, ScoreCommit>;
  readonly reveals: ReadonlyMap<string, ScoreReveal>;
};

type Taken = Result<ScoreWindow, ScoreReject>;

export function openWindow(window: number, lastRound: number): ScoreWindow {
  return { window, lastRound, phase: "commit", commits: new Map(), reveals: new Map() };
}

export function placeOf(
  { runId, pay }: ScoreTerms,
  { window, lastRound }: Pick<ScoreWindow, "window" | "lastRound">,
): ScorePlace {
  return { chain: pay.chain, run: runId, window, lastRound };
}

/** What reveals have to sign: the commitments, of which no more are taken. */
export function sealIn(terms: ScoreTerms, window: ScoreWindow): string {
  return sealOf(placeOf(terms, window), inOrder(window.commits));
}

/**
 * Takes a commitment; the last validator's seals them all. The same one again changes nothing.
 *
 * **Rejects** `score/validator`, `score/late-commit`, `score/second-commit`, `score/signature`.
 */
export function takeCommit(terms: ScoreTerms, window: ScoreWindow, commit: ScoreCommit): Taken {
  const { validator, commitment } = commit;
  const known = window.commits.get(validator);
  if (known?.commitment === commitment) return ok(window);
  if (!isValidator(terms, validator)) return strangers(validator);
  if (known) {
    return no("score/second-commit", `0x${validator} has committed to something else already`);
  }
  if (window.phase !== "commit") {
    return no(
      "score/late-commit",
      `the commitments of window ${window.window} are sealed: whoever was late says nothing of it`,
    );
  }
  const digest = hashTypedData(commitTypedData(placeOf(terms, window), commit));
  const problem = signatureProblem(digest, commit);
  if (problem !== null) return no("score/signature", problem);
  const commits = new Map(window.commits).set(validator, commit);
  const isLast = commits.size === terms.pay.scores?.validators.length;
  return ok({ ...window, commits, phase: isLast ? "reveal" : "commit" });
}

/** No more commitments. A window that nobody committed for is closed. */
export function sealCommits(window: ScoreWindow): ScoreWindow {
  if (window.phase !== "commit") return window;
  return { ...window, phase: window.commits.size === 0 ? "closed" : "reveal" };
}

/**
 * Takes the scores that were committed to; the last of them closes the window. A wrong one is
 * refused, and its validator may come again until the window is closed.
 *
 * **Rejects** `score/not-committed`, `score/early-reveal`, `score/late-reveal`,
 * `score/not-ascending`, `score/commitment`, `score/signature`.
 */
export function takeReveal(terms: ScoreTerms, window: ScoreWindow, reveal: ScoreReveal): Taken {
  const { validator } = reveal;
  const commit = window.commits.get(validator);
  if (!commit) return no("score/not-committed", `0x${validator} has not committed to any scores`);
  if (window.phase === "commit") {
    return no("score/early-reveal", "others may still commit: they would know these scores");
  }
  if (!isAscending(reveal.scores.map(({ worker }) => worker))) {
    return no("score/not-ascending", "expected each worker once, in ascending order");
  }
  const place = placeOf(terms, window);
  if (commitmentOf(place, reveal) !== commit.commitment) {
    return no("score/commitment", `these are not the scores that 0x${validator} committed to`);
  }
  if (window.reveals.has(validator)) return ok(window);
  if (window.phase === "closed") {
    return no("score/late-reveal", `window ${window.window} is closed without 0x${validator}`);
  }
  const digest = hashTypedData(revealTypedData(place, commit, sealIn(terms, window)));
  const problem = signatureProblem(digest, reveal);
  if (problem !== null) return no("score/signature", problem);
  const reveals = new Map(window.reveals).set(validator, reveal);
  const isLast = reveals.size === window.commits.size;
  return ok({ ...window, reveals, phase: isLast ? "closed" : "reveal" });
}

/** No more reveals. */
export function closeReveals(window: ScoreWindow): ScoreWindow {
  return window.phase === "reveal" ? { ...window, phase: "closed" } : window;
}

/**
 * What ends by itself: commitments when `settleEvery` more rounds are closed, reveals when so many
 * more are. A finished run has no rounds to count; there its owner ends what is waited for.
 */
export function afterRounds(
  { pay }: ScoreTerms,
  window: ScoreWindow,
  roundsClosed: number,
): ScoreWindow {
  const since = roundsClosed - 1 - window.lastRound;
  if (since < pay.settleEvery) return window;
  const sealed = sealCommits(window);
  return since < 2 * pay.settleEvery ? sealed : closeReveals(sealed);
}

export function transcriptOf({ window, lastRound, commits, reveals }: ScoreWindow): Transcript {
  return { window, lastRound, commits: inOrder(commits), reveals: inOrder(reveals) };
}

/**
 * Everything that was said of a window, checked again from the evidence alone.
 *
 * **Rejects** as above, and `score/transcript` for what no window comes to.
 */
export function replayTranscript(terms: ScoreTerms, transcript: Transcript): Taken {
  const { commits, reveals } = transcript;
  for (const said of [commits, reveals]) {
    if (isAscending(said.map(({ validator }) => validator))) continue;
    return no("score/transcript", "expected each validator once, in ascending order");
  }
  let window = openWindow(transcript.window, transcript.lastRound);
  for (const commit of commits) {
    const taken = takeCommit(terms, window, commit);
    if (!taken.ok) return taken;
    window = taken.value;
  }
  window = sealCommits(window);
  for (const reveal of reveals) {
    const taken = takeReveal(terms, window, reveal);
    if (!taken.ok) return taken;
    window = taken.value;
  }
  return ok(closeReveals(window));
}

function isValidator({ pay }: ScoreTerms, account: string): boolean {
  return pay.scores?.validators.some((one) => one.account === account) ?? false;
}

function strangers(account: string): Taken {
  return no("score/validator", `0x${account} is none of this run's validators`);
}

function signatureProblem(
  digest: Hex,
  { validator, signature }: Pick<ScoreCommit, "validator" | "signature">,
): string | null {
  const signer = signerOf(fromHex(digest.slice(2)), signature);
  if (!signer.ok) return signer.error;
  if (signer.value === validator) return null;
  return (
    `expected 0x${validator}'s signature of this run, window and set of commitments, found one ` +
    `that gives 0x${signer.value}`
  );
}

function inOrder<T extends { readonly validator: string }>(said: ReadonlyMap<string, T>): T[] {
  return [...said.values()].sort((a, b) => compareText(a.validator, b.validator));
}

function isAscending(names: readonly string[]): boolean {
  return names.every((name, i) => name > (names[i - 1] ?? ""));
}

function no(code: ScoreRejectCode, message: string): Taken {
  return err({ code, message });
}
