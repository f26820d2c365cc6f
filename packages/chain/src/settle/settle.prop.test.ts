// Accounts by any course of joins and closes: what is owed never exceeds what was earned, never
// falls, and does not depend on the order in which anything is listed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { defined } from "@manyhands/base/assert";
import type { RunEvent } from "@manyhands/protocol/events";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunState } from "@manyhands/protocol/state";
import { hashOf, TEST_PAY, workerIdFor, workerJoined } from "@manyhands/protocol/testing/fixtures";
import fc from "fast-check";
import {
  bundleDecoder,
  bundleText,
  creditTreeOf,
  PayLedger,
  postingOf,
  totalOf,
} from "./ledger.ts";
import { type Earned, PayBook } from "./pay-book.ts";

const NAMES = ["ada", "bob", "cyd", "dan"] as const;
const ACCOUNTS = ["01", "02", TEST_PAY.dataAccount?.slice(0, 2) ?? ""].map((b) => b.repeat(20));

type Doing =
  | { readonly kind: "join"; readonly who: number; readonly account: number | null }
  | { readonly kind: "close"; readonly tokens: readonly number[] };

const doing: fc.Arbitrary<Doing> = fc.oneof(
  fc.record({
    kind: fc.constant("join" as const),
    who: fc.nat(NAMES.length - 1),
    account: fc.option(fc.nat(ACCOUNTS.length - 1)),
  }),
  fc.record({
    kind: fc.constant("close" as const),
    tokens: fc.array(fc.nat(5_000_000), { minLength: 4, maxLength: 4 }),
  }),
);

function joined(who: number, account: number | null): RunEvent {
  const event = workerJoined(defined(NAMES[who], "a name"), 0);
  const payout = account === null ? null : { account: ACCOUNTS[account] ?? "", delegation: null };
  return { ...event, join: { ...event.join, payout } };
}

function closed(round: number): RunEvent {
  const [updatesRoot, creditRoot, stateRoot] = ["u", "c", "s"].map((x) => hashOf(x + round));
  const roots = { updatesRoot, creditRoot, stateRoot } as Record<"updatesRoot", string>;
  const rest = { weightsRoot: hashOf(`w${round}`), feedbackRoot: hashOf("f"), aggregate: null };
  return { type: "RoundClosed", tick: 0, round, ...roots, ...rest } as RunEvent;
}

/** A state as far as accounts look at it. Only who has joined can have credit. */
function stateOf(credit: ReadonlyMap<string, number>): RunState {
  const workers = new Map(
    [...credit].map(([workerId, sum]) => [workerId, { workerId, credit: sum }]),
  );
  return { runId: hashOf("run"), workers } as unknown as RunState;
}

type Course = {
  readonly ledger: PayLedger;
  readonly steps: readonly (readonly Earned[])[];
  readonly credit: Map<string, number>;
};

function play(pay: Pay, course: readonly Doing[], reversed = false): Course {
  const ledger = new PayLedger(pay);
  const credit = new Map<string, number>();
  const steps: (readonly Earned[])[] = [];
  let round = 0;
  for (const [sequence, one] of course.entries()) {
    if (one.kind === "join") {
      const id = workerIdFor(defined(NAMES[one.who], "a name"));
      if (!credit.has(id)) credit.set(id, 0);
    } else {
      for (const [who, tokens] of one.tokens.entries()) {
        const id = workerIdFor(defined(NAMES[who], "a name"));
        const before = credit.get(id);
        if (before !== undefined) credit.set(id, before + tokens);
      }
    }
    const event = one.kind === "join" ? joined(one.who, one.account) : closed(round++);
    const listed = reversed ? new Map([...credit].reverse()) : credit;
    ledger.advance({ sequence, head: hashOf(`head ${sequence}`) }, event, stateOf(listed));
    steps.push(ledger.book.earned());
  }
  return { ledger, steps, credit };
}

const sum = (credit: ReadonlyMap<string, number>): number =>
  [...credit.values()].reduce((all, one) => all + one, 0);

test("what is owed never exceeds the price of all credit, and no account's share ever falls", () => {
  fc.assert(
    fc.property(fc.array(doing, { maxLength: 40 }), (course) => {
      const { steps, credit } = play(TEST_PAY, course);
      let before = new Map<string, bigint>();
      for (const earned of steps) {
        const now = new Map(earned.map(({ account, cumulative }) => [account, cumulative]));
        for (const [account, units] of before)
          assert.ok((now.get(account) ?? 0n) >= units, account);
        before = now;
      }
      const price = (BigInt(sum(credit)) * BigInt(TEST_PAY.unitsPerMillionTokens)) / 1_000_000n;
      assert.ok(totalOf(steps.at(-1) ?? []) <= price);
    }),
  );
});

test("with everybody named, all but a unit an account and share is paid out", () => {
  fc.assert(
    fc.property(fc.array(doing, { maxLength: 40 }), (course) => {
      const names = NAMES.map((_, who): Doing => ({ kind: "join", who, account: who % 2 }));
      const { steps, credit } = play(TEST_PAY, [...names, ...course]);
      const price = (BigInt(sum(credit)) * BigInt(TEST_PAY.unitsPerMillionTokens)) / 1_000_000n;
      assert.ok(price - totalOf(steps.at(-1) ?? []) <= BigInt(ACCOUNTS.length + 2));
    }),
  );
});

test("who is named later is paid from the beginning; the order of listing is nothing", () => {
  const tokens = fc.array(fc.nat(5_000_000), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(tokens, { maxLength: 10 }), fc.nat(9), (rounds, when) => {
      const closes = rounds.map((each): Doing => ({ kind: "close", tokens: each }));
      const join = (account: number | null): Doing => ({ kind: "join", who: 0, account });
      const early = play(TEST_PAY, [join(1), ...closes]);
      const late = play(TEST_PAY, [join(null), ...closes.toSpliced(when, 0, join(1))], true);
      assert.deepEqual(late.steps.at(-1), early.steps.at(-1));
    }),
  );
});

test("another account gets what comes from then on; without a new one the last one keeps", () => {
  const close = (tokens: number): Doing => ({ kind: "close", tokens: [tokens, 0, 0, 0] });
  const join = (account: number | null): Doing => ({ kind: "join", who: 0, account });
  const pay = {
    ...TEST_PAY,
    shares: { trainingBps: 10_000, dataBps: 0, storageBps: 0 },
    ...{ dataAccount: null, storageAccount: null, unitsPerMillionTokens: 1_000_000 },
  };
  const course = [join(0), close(5), join(1), close(7), join(null), close(11)];
  assert.deepEqual(
    play(pay, course)
      .ledger.book.earned()
      .map(({ cumulative }) => cumulative),
    [5n, 18n],
  );
});

test("a bundle says the same as its posting; nothing earned, no bundle", () => {
  const place = { onChainRunId: 3, sequence: 2 };
  const course: readonly Doing[] = [
    { kind: "join", who: 0, account: 0 },
    { kind: "close", tokens: [4_000_000, 0, 0, 0] },
  ];
  const { ledger, credit } = play(TEST_PAY, course);
  const bundle = defined(ledger.bundle(stateOf(credit), place), "a bundle");
  assert.deepEqual(bundleDecoder(JSON.parse(bundleText(bundle))), { ok: true, value: bundle });
  const posting = postingOf(bundle);
  assert.equal(posting.total, 10_000_000n, "2.5 units a token for 4,000,000 tokens");
  assert.equal(posting.creditRoot, creditTreeOf(bundle).root);
  const moved = postingOf({ ...bundle, onChainRunId: 4 });
  assert.notEqual(moved.creditRoot, posting.creditRoot, "another run's leaves");
  assert.notEqual(postingOf({ ...bundle, head: hashOf("x") }).evidence, posting.evidence);
  assert.equal(new PayLedger(TEST_PAY).bundle(stateOf(new Map()), place), null);
  const nobody = play(TEST_PAY, [
    { kind: "join", who: 0, account: null },
    { kind: "close", tokens: [0, 0, 0, 0] },
  ]);
  assert.equal(nobody.ledger.bundle(stateOf(nobody.credit), place), null);
});

test("a worker without an account is listed with what waits for it", () => {
  const book = new PayBook(TEST_PAY);
  book.advance(joined(0, null), stateOf(new Map()));
  book.advance(closed(0), stateOf(new Map([[workerIdFor("ada"), 500]])));
  const [ada] = book.workers;
  assert.deepEqual([ada?.account, ada?.credit, ada?.unnamed], [null, 500, 500]);
});

test("data and storage have the run's fixed shares; who leaves keeps what was accepted", () => {
  const join = (who: number): Doing => ({ kind: "join", who, account: who });
  const close = (...tokens: number[]): Doing => ({ kind: "close", tokens });
  const shares = { trainingBps: 7_000, dataBps: 2_000, storageBps: 1_000 };
  const [data, storage] = ["0d".repeat(20), "0e".repeat(20)];
  const pay = { ...TEST_PAY, shares, dataAccount: data, storageAccount: storage };
  // Ada is gone after the first round: nothing more is hers, and nothing is taken back.
  const rounds = [close(1_000_000, 2_000_000, 0, 0), ...Array(5).fill(close(0, 1_000_000, 0, 0))];
  const { ledger, steps } = play(pay, [join(0), join(1), ...rounds]);
  const price = BigInt(TEST_PAY.unitsPerMillionTokens);
  const owed = new Map(
    ledger.book.earned().map(({ account, cumulative }) => [account, cumulative]),
  );
  const [ada = "", bob = ""] = ACCOUNTS;
  assert.equal(owed.get(ada), (price * 7n) / 10n);
  assert.equal(owed.get(bob), (price * 49n) / 10n);
  assert.equal(owed.get(data), (price * 16n) / 10n);
  assert.equal(owed.get(storage), (price * 8n) / 10n);
  const hers = steps
    .slice(2)
    .map((step) => step.find(({ account }) => account === ada)?.cumulative);
  assert.deepEqual(new Set(hers), new Set([(price * 7n) / 10n]));
});
