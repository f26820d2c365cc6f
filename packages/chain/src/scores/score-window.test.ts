import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hashOf } from "@manyhands/protocol/testing/fixtures";
import { playedWindow, SCORED_PAY, TestValidator, VALIDATORS } from "../testing/validators.ts";
import type { Scores, Transcript } from "./messages.ts";
import {
  afterRounds,
  closeReveals,
  openWindow,
  replayTranscript,
  type ScoreRejectCode,
  type ScoreTerms,
  type ScoreWindow,
  sealCommits,
  takeCommit,
  takeReveal,
  transcriptOf,
} from "./score-window.ts";

const terms: ScoreTerms = { runId: hashOf("run"), pay: SCORED_PAY };
const [one, two, three] = VALIDATORS as [TestValidator, TestValidator, TestValidator];
const PLACE = { window: 4, lastRound: 14 };
const OPEN = openWindow(PLACE.window, PLACE.lastRound);
const SCORES: Scores = [
  { worker: hashOf("w").replace(/^./, "1"), score: 5 },
  { worker: hashOf("w").replace(/^./, "2"), score: 3 },
];
const OTHER: Scores = [{ worker: hashOf("w").replace(/^./, "2"), score: 9 }];

type Taken = ReturnType<typeof takeCommit>;

function taken(result: Taken): ScoreWindow {
  assert.ok(result.ok, result.ok ? "" : result.error.message);
  return result.value;
}

function refused(result: Taken, code: ScoreRejectCode, words: RegExp): void {
  assert.ok(!result.ok, "it was taken");
  assert.equal(result.error.code, code);
  assert.match(result.error.message, words);
}

async function committed(...who: readonly TestValidator[]): Promise<ScoreWindow> {
  let window = OPEN;
  for (const validator of who) {
    window = taken(takeCommit(terms, window, await validator.commit(terms, PLACE, SCORES)));
  }
  return window;
}

test("all commit, then all reveal: the last of each ends its phase", async () => {
  let window = await committed(one, two);
  assert.equal(window.phase, "commit");
  window = await committed(one, two, three);
  assert.equal(window.phase, "reveal");
  for (const validator of [three, one, two]) {
    window = taken(takeReveal(terms, window, await validator.reveal(terms, window, SCORES)));
  }
  assert.equal(window.phase, "closed");
  const transcript = transcriptOf(window);
  assert.deepEqual(
    transcript.reveals.map(({ validator }) => validator),
    VALIDATORS.map(({ validator }) => validator),
  );
  assert.deepEqual(taken(replayTranscript(terms, transcript)), window);
});

test("the same again changes nothing, another commitment is refused", async () => {
  const window = await committed(one);
  const again = await one.commit(terms, PLACE, SCORES);
  assert.equal(taken(takeCommit(terms, window, again)), window);
  const another = await one.commit(terms, PLACE, OTHER);
  refused(takeCommit(terms, window, another), "score/second-commit", /something else already/);
});

test("a commitment is its validator's, for one window of one run on one chain", async () => {
  const stranger = new TestValidator("eve");
  const foreign = await stranger.commit(terms, PLACE, SCORES);
  refused(takeCommit(terms, OPEN, foreign), "score/validator", /none of this run's validators/);
  const forged = { ...foreign, validator: one.validator };
  refused(takeCommit(terms, OPEN, forged), "score/signature", /found one that gives 0x/);
  const elsewhere: readonly (readonly [ScoreTerms, typeof PLACE])[] = [
    [{ ...terms, runId: hashOf("other") }, PLACE],
    [terms, { ...PLACE, window: 5 }],
    [terms, { ...PLACE, lastRound: 15 }],
    [{ ...terms, pay: { ...SCORED_PAY, chain: { ...SCORED_PAY.chain, chainId: 1 } } }, PLACE],
  ];
  for (const [other, place] of elsewhere) {
    const { commitment } = await one.commit(terms, PLACE, SCORES);
    const signed = await one.commitTo(other, place, commitment);
    refused(takeCommit(terms, OPEN, signed), "score/signature", /this run, window/);
  }
});

test("late commitments are refused; who was not there says nothing, and the others go on", async () => {
  let window = sealCommits(await committed(one, two));
  assert.equal(window.phase, "reveal");
  const late = await three.commit(terms, PLACE, SCORES);
  refused(takeCommit(terms, window, late), "score/late-commit", /sealed.*late/);
  const reveal = await three.reveal(terms, window, SCORES);
  refused(takeReveal(terms, window, reveal), "score/not-committed", /has not committed/);
  window = taken(takeReveal(terms, window, await one.reveal(terms, window, SCORES)));
  window = taken(takeReveal(terms, window, await two.reveal(terms, window, SCORES)));
  assert.equal(window.phase, "closed");
});

test("nothing is opened while others may still commit, nor after the window is closed", async () => {
  const early = await committed(one);
  const reveal = await one.reveal(terms, early, SCORES);
  refused(takeReveal(terms, early, reveal), "score/early-reveal", /others may still commit/);
  const closed = closeReveals(sealCommits(early));
  const late = await one.reveal(terms, closed, SCORES);
  refused(takeReveal(terms, closed, late), "score/late-reveal", /closed without/);
});

test("what is revealed is what was committed to; a wrong one may be put right", async () => {
  const window = sealCommits(await committed(one));
  const other = await one.reveal(terms, window, OTHER);
  refused(takeReveal(terms, window, other), "score/commitment", /are not the scores/);
  const right = await one.reveal(terms, window, SCORES);
  const salted = { ...right, salt: hashOf("another") };
  refused(takeReveal(terms, window, salted), "score/commitment", /are not the scores/);
  const twice = { ...right, scores: SCORES.toReversed() };
  refused(takeReveal(terms, window, twice), "score/not-ascending", /each worker once/);
  const closed = taken(takeReveal(terms, window, right));
  assert.equal(closed.phase, "closed");
  assert.equal(taken(takeReveal(terms, closed, right)), closed, "the same again");
});

test("a copied commitment is of no use: the account is inside", async () => {
  const original = await one.commit(terms, PLACE, SCORES);
  const copy = await two.commitTo(terms, PLACE, original.commitment);
  let window = taken(takeCommit(terms, OPEN, original));
  window = sealCommits(taken(takeCommit(terms, window, copy)));
  const opened = await one.reveal(terms, window, SCORES);
  window = taken(takeReveal(terms, window, opened));
  const stolen = { ...(await two.reveal(terms, window, SCORES)), salt: opened.salt };
  refused(takeReveal(terms, window, stolen), "score/commitment", /are not the scores/);
});

test("a commitment that is slipped in, or left out, breaks every other reveal", async () => {
  const honest = await playedWindow(terms, PLACE, [SCORES, SCORES, null]);
  assert.ok(replayTranscript(terms, honest).ok);
  const late = await three.commit(terms, PLACE, OTHER);
  const forged: Transcript = { ...honest, commits: [...honest.commits, late] };
  refused(replayTranscript(terms, forged), "score/signature", /set of commitments/);
  const [first] = honest.commits;
  const without: Transcript = {
    ...honest,
    commits: honest.commits.filter((commit) => commit !== first),
    reveals: honest.reveals.filter(({ validator }) => validator !== first?.validator),
  };
  refused(replayTranscript(terms, without), "score/signature", /set of commitments/);
  const disordered = { ...honest, commits: honest.commits.toReversed() };
  refused(replayTranscript(terms, disordered), "score/transcript", /ascending/);
});

test("rounds end what is waited for: so many for commitments, so many more for reveals", async () => {
  const window = await committed(one);
  const at = (round: number) => afterRounds(terms, window, round + 1).phase;
  assert.deepEqual([14, 16, 17, 19, 20].map(at), [
    "commit",
    "commit",
    "reveal",
    "reveal",
    "closed",
  ]);
  assert.equal(afterRounds(terms, OPEN, 18).phase, "closed", "nobody has committed to anything");
});

test("every reason for a refusal has its row in the specification", () => {
  const folder = import.meta.dirname;
  const source = readFileSync(join(folder, "score-window.ts"), "utf8");
  const page = readFileSync(join(folder, "../../../../docs/spec/09-pay.md"), "utf8");
  const codes = [...source.matchAll(/\| "(score\/[a-z-]+)"/g)].map(([, code]) => code ?? "");
  const rows = [...page.matchAll(/^\| `(score\/[a-z-]+)` \|/gm)].map(([, code]) => code ?? "");
  assert.ok(codes.length > 10, `${codes.length} codes`);
  // The desk's decoder refuses with one of its own.
  assert.deepEqual(new Set(rows), new Set([...codes, "score/malformed"]));
});
