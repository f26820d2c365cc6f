// Pay by scores: whatever validators say, and whenever it is known, credit only rises and never
// exceeds what was accepted; a minority gains nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareText } from "@manyhands/base/bytes";
import type { RunEvent } from "@manyhands/protocol/events";
import type { RunState } from "@manyhands/protocol/state";
import { hashOf, workerIdFor, workerJoined } from "@manyhands/protocol/testing/fixtures";
import fc from "fast-check";
import { bundleDecoder, bundleText, PayLedger } from "../settle/ledger.ts";
import { PayBook } from "../settle/pay-book.ts";
import { playedWindow, SCORED_PAY, VALIDATORS } from "../testing/validators.ts";
import { evidenceProblem, lastRoundOf, ScoreEvidence } from "./evidence.ts";
import type { Scores, Transcript } from "./messages.ts";
import { windowTokens } from "./window-tokens.ts";

const NAMES = ["ada", "bob", "cyd"] as const;
const WORKERS = NAMES.map(workerIdFor);
const EVERY = SCORED_PAY.settleEvery;
const terms = { runId: hashOf("run"), pay: SCORED_PAY };

/** Unsigned: books do not look at signatures, evidenceProblem does. */
function said(window: number, lastRound: number, opinions: readonly Scores[]): Transcript {
  const reveals = opinions.map((scores, i) => {
    const validator = VALIDATORS[i]?.validator ?? "";
    return { validator, scores, salt: hashOf("salt"), signature: "" };
  });
  return { window, lastRound, commits: [], reveals };
}

const scoresOf = (numbers: readonly number[]): Scores =>
  WORKERS.map((worker, i) => ({ worker, score: numbers[i] ?? 0 }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => compareText(a.worker, b.worker));

const opinion = fc.array(fc.nat(9), { minLength: 3, maxLength: 3 }).map(scoresOf);
const opinions = fc.array(opinion, { maxLength: 3 });
const tokens = fc.array(fc.nat(5_000_000), { minLength: 3, maxLength: 3 });
const course = fc.record({
  rounds: fc.array(tokens, { minLength: 1, maxLength: 12 }),
  windows: fc.array(opinions, { minLength: 4, maxLength: 4 }),
  /** Before which round a worker names an account; later than all: never. */
  named: fc.array(fc.nat(14), { minLength: 3, maxLength: 3 }),
  /** Before which round it names another one. */
  renamed: fc.array(fc.nat(14), { minLength: 3, maxLength: 3 }),
});
type Course = typeof course extends fc.Arbitrary<infer T> ? T : never;

function joined(who: number, first: number): RunEvent {
  const event = workerJoined(NAMES[who] ?? "", 0);
  const account = `0${who + first}`.repeat(20);
  return { ...event, join: { ...event.join, payout: { account, delegation: null } } };
}

function closed(round: number): RunEvent {
  const roots = { updatesRoot: hashOf("u"), creditRoot: hashOf("c"), stateRoot: hashOf("s") };
  const rest = { weightsRoot: hashOf("w"), feedbackRoot: hashOf("f"), aggregate: null };
  return { type: "RoundClosed", tick: 0, round, ...roots, ...rest };
}

type Step = { readonly event: RunEvent; readonly state: RunState };

function stepsOf({ rounds, named, renamed }: Course): readonly Step[] {
  const credit = WORKERS.map(() => 0);
  const stateNow = (): RunState => {
    const workers = WORKERS.map((workerId, i) => [workerId, { workerId, credit: credit[i] }]);
    return { runId: terms.runId, workers: new Map(workers as []) } as unknown as RunState;
  };
  const plain = NAMES.map((name) => ({ event: workerJoined(name, 0), state: stateNow() }));
  const namings = (round: number): readonly Step[] =>
    [named, renamed].flatMap((times, i) =>
      times.flatMap((when, who) =>
        when === round ? [{ event: joined(who, 1 + 3 * i), state: stateNow() }] : [],
      ),
    );
  const steps = rounds.flatMap((each, round): readonly Step[] => {
    const before = namings(round);
    for (const [i, more] of each.entries()) credit[i] = (credit[i] ?? 0) + more;
    return [...before, { event: closed(round), state: stateNow() }];
  });
  const event = { type: "RunFinished", tick: 0, reason: "tokens" } as const;
  return [...plain, ...steps, { event, state: stateNow() }, ...namings(rounds.length)];
}

function evidenceOf({ rounds, windows }: Course): ScoreEvidence {
  const end = { roundsClosed: rounds.length, isFinished: true };
  const transcripts = windows.flatMap((opinions, window) => {
    const lastRound = lastRoundOf(window, EVERY, end);
    return lastRound === null ? [] : [said(window, lastRound, opinions)];
  });
  return new ScoreEvidence(transcripts, []);
}

const unitsIn = (book: PayBook): ReadonlyMap<string, bigint> =>
  new Map(book.earned().map(({ account, cumulative }) => [account, cumulative]));

test("what anybody has earned never falls, whatever is said and whenever it comes", () => {
  fc.assert(
    fc.property(course, fc.nat(30), (one, when) => {
      const evidence = evidenceOf(one);
      const book = new PayBook(SCORED_PAY);
      let before = unitsIn(book);
      for (const [i, { event, state }] of stepsOf(one).entries()) {
        if (i === when) book.know(evidence);
        book.advance(event, state);
        for (const [account, units] of before) {
          assert.ok((unitsIn(book).get(account) ?? 0n) >= units, `0x${account} at ${i}`);
        }
        before = unitsIn(book);
      }
    }),
  );
});

test("known before or after, scores come to the same", () => {
  fc.assert(
    fc.property(course, (one) => {
      const evidence = evidenceOf(one);
      const [early, late] = [new PayBook(SCORED_PAY, evidence), new PayBook(SCORED_PAY)];
      for (const { event, state } of stepsOf(one)) {
        early.advance(event, state);
        late.advance(event, state);
      }
      late.know(evidence);
      assert.deepEqual(late.earned(), early.earned());
      assert.deepEqual(late.scored, early.scored);
      assert.deepEqual(late.workers, early.workers);
      for (const { unscored } of early.workers) assert.equal(unscored, 0, "all is scored");
    }),
  );
});

test("a window is dealt out at most once, and never more than it has", () => {
  fc.assert(
    fc.property(course, (one) => {
      const book = new PayBook(SCORED_PAY, evidenceOf(one));
      for (const { event, state } of stepsOf(one)) book.advance(event, state);
      const all = one.rounds.flat().reduce((sum, each) => sum + each, 0);
      assert.equal(
        book.scored.reduce((sum, { accepted }) => sum + accepted, 0),
        all,
      );
      for (const { accepted, dealt } of book.scored) assert.ok(dealt <= accepted);
    }),
  );
});

test("one liar of three raises its favourite by nothing, and lowers nobody", () => {
  fc.assert(
    fc.property(tokens, opinion, opinion, fc.nat(2), (each, honest, lie, liar) => {
      const accepted = new Map(WORKERS.map((worker, i) => [worker, each[i] ?? 0]));
      const opinions = VALIDATORS.map((_, i) => (i === liar ? lie : honest));
      const without = VALIDATORS.map(() => honest);
      assert.deepEqual(
        windowTokens(SCORED_PAY.scores, accepted, said(0, 2, opinions).reveals).tokens,
        windowTokens(SCORED_PAY.scores, accepted, said(0, 2, without).reveals).tokens,
      );
    }),
  );
});

test("where less than half of the stake says anything, accepted tokens count", () => {
  const accepted = new Map(WORKERS.map((worker, i) => [worker, i + 1]));
  const alone = said(0, 2, [scoresOf([9, 0, 0])]).reveals;
  const { tokens: dealt, agreedBps } = windowTokens(SCORED_PAY.scores, accepted, alone);
  assert.equal(agreedBps, 0);
  assert.deepEqual(Object.fromEntries(dealt), Object.fromEntries(accepted));
});

test("a liar that gets rid of another validator still leaves its favourite little more", () => {
  fc.assert(
    fc.property(tokens, opinion, opinion, (each, honest, lie) => {
      const accepted = new Map(WORKERS.map((worker, i) => [worker, each[i] ?? 0]));
      const all = each.reduce((sum, one) => sum + one, 0);
      const dealt = windowTokens(SCORED_PAY.scores, accepted, said(0, 2, [honest, lie]).reveals);
      const sum = honest.reduce((scores, { score }) => scores + score, 0);
      let left = all;
      for (const [worker, got] of dealt.tokens) {
        const score = honest.find((one) => one.worker === worker)?.score ?? 0;
        const most = sum === 0 ? 0 : (all * score) / sum;
        const own = accepted.get(worker) ?? 0;
        assert.ok(
          got <= most + own + 1,
          `${got} for ${most} by the honest one and ${own} accepted`,
        );
        left -= got;
      }
      assert.ok(left >= 0 && left < 2 * WORKERS.length, `${left} tokens are nobody's`);
    }),
  );
});

test("a bundle has the windows that no settlement before has, and all of it is checked", async () => {
  const scores = scoresOf([5, 3, 2]);
  const places = [0, 1, 2].map((window) => ({
    window,
    lastRound: window === 2 ? 6 : window * 3 + 2,
  }));
  const windows: Transcript[] = [];
  for (const place of places)
    windows.push(await playedWindow(terms, place, [scores, scores, null]));
  const rounds = Array.from({ length: 7 }, () => [100_000, 200_000, 300_000]);
  const one = { rounds, windows: [], named: [0, 0, 0], renamed: [99, 99, 99] };
  const bundleAt = (sequence: number, round: number, evidence: ScoreEvidence) => {
    const ledger = new PayLedger(SCORED_PAY, evidence);
    for (const [i, { event, state }] of stepsOf(one).entries()) {
      ledger.advance({ sequence: i, head: hashOf(`${i}`) }, event, state);
      if (event.type !== "RoundClosed" || event.round < round) continue;
      return ledger.bundle(state, { onChainRunId: 1, sequence });
    }
    return null;
  };
  const first = bundleAt(1, 2, new ScoreEvidence(windows.slice(0, 1), []));
  assert.ok(first?.scores);
  assert.deepEqual(bundleDecoder(JSON.parse(bundleText(first))), { ok: true, value: first });
  assert.equal(bundleAt(1, 3, new ScoreEvidence(windows.slice(0, 1), [])), null, "not in a window");
  const second = bundleAt(2, 6, new ScoreEvidence(windows, [first]));
  assert.ok(second?.scores);
  assert.deepEqual([second.scores.before, second.scores.windows.length], [1, 2]);
  const read = ScoreEvidence.ofBundles([first, second]);
  assert.ok(read.ok);
  const end = { roundsClosed: 7, isFinished: true };
  assert.equal(evidenceProblem(terms, read.value, end), null);
  const unfinished = evidenceProblem(terms, read.value, { ...end, isFinished: false });
  assert.match(unfinished?.message ?? "", /window 2 has not ended by the log/);
  assert.ok(!ScoreEvidence.ofBundles([second]).ok, "the first is missing");
  const swapped = { ...first.scores, windows: windows.slice(1, 2) };
  assert.ok(!ScoreEvidence.ofBundles([{ ...first, scores: swapped }, second]).ok);
  const [opened] = windows[0]?.reveals ?? [];
  const bent = { ...opened, scores: scoresOf([1, 0, 0]) } as typeof opened & object;
  const forged = windows.with(0, { ...(windows[0] as Transcript), reveals: [bent] });
  const problem = evidenceProblem(terms, new ScoreEvidence(forged, []), end);
  assert.equal(problem?.code, "score/commitment");
});
