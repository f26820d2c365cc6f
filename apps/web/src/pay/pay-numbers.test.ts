// Money in the page: amounts written and read, and where an account's money is and why.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import type { AccountStanding, PayStanding } from "@manyhands/coordinator/settlement-desk";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import fc from "fast-check";
import { amountIn, amountText } from "../format.ts";
import { budgetOf, isLocal, payLines, trainingPrice } from "./pay-numbers.ts";

const DOLLAR = { symbol: "USD", decimals: 6 };
const NARROW = "\u202f";

test("amounts are exact, and what is written can be read", () => {
  assert.equal(amountText(0n, DOLLAR), `0${NARROW}USD`);
  assert.equal(amountText(1n, DOLLAR), `0.000001${NARROW}USD`);
  assert.equal(amountText(1_234_567_890_000n, DOLLAR), `1${NARROW}234${NARROW}567.89${NARROW}USD`);
  assert.equal(amountText(7n, { symbol: "x", decimals: 0 }), `7${NARROW}x`);
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 90n }),
      fc.integer({ min: 0, max: 18 }),
      (units, decimals) => {
        const text = amountText(units, { symbol: "", decimals }).replaceAll(NARROW, "");
        assert.equal(amountIn(text, decimals), units);
      },
    ),
  );
  for (const text of ["", "-1", "1,5", "1.", ".5", "1e6", "0x1", "1.2345678", "9".repeat(31)]) {
    assert.equal(amountIn(text, 6), null, text);
  }
});

const STANDING: PayStanding = {
  token: DOLLAR,
  contracts: { registry: "0x", settlement: "0x", rewards: "0x", token: "0x" },
  localRpc: null,
  onChain: {
    ...{ runId: 1, owner: "0x", funded: "10000000", paid: "0", settled: "0", isPaused: false },
    ...{ finishedAt: null, reclaimableAt: null, posted: null, waiting: null, final: null },
  },
};
const ACCOUNT: AccountStanding = {
  ...{ account: "0x", earned: "100", pending: "20", final: "30", paid: "40", claim: null },
};

function told(part: Partial<NonNullable<PayStanding["onChain"]>> | null): PayTold {
  const onChain = part && STANDING.onChain && { ...STANDING.onChain, ...part };
  return { terms: TEST_PAY, standing: { ...STANDING, onChain }, trouble: null };
}

test("what is earned is somewhere: not settled, pending, final, or paid", () => {
  const lines = payLines(told({}), ACCOUNT);
  assert.deepEqual(
    lines.map(({ key, amount }) => [key, amount.replace(/\D*USD/, "")]),
    [
      ["earned", "0.0001"],
      ["waits", "0.00001"],
      ["pending", "0.00002"],
      ["final", "0.00003"],
      ["paid", "0.00004"],
    ],
  );
});

test("what waits says why", () => {
  const why = (of: PayTold): string => payLines(of, ACCOUNT)[1]?.why ?? "";
  assert.match(why(told(null)), /not on its chain yet/);
  assert.match(why(told({ funded: "0" })), /Nobody has paid in/);
  assert.match(why(told({ isPaused: true })), /paused the run/);
  assert.match(why(told({ finishedAt: 1 })), /finished the run/);
  const waiting = { sequence: 3, round: 9, missing: 2 };
  assert.match(why(told({ waiting })), /Settlement 3 waits for 2 attestors/);
  assert.match(why(told({ waiting: { ...waiting, missing: 0 } })), /is signed/);
  assert.match(why(told({})), /every 3 closed rounds/);
  const away = { terms: TEST_PAY, standing: null, trouble: "the chain is silent" };
  assert.equal(why(away), "the chain is silent");
  const settled = { ...ACCOUNT, earned: "90" };
  assert.match(payLines(told({}), settled)[1]?.why ?? "", /is in a settlement/);
});

test("the price is the trainer's share, and the budget ends at nothing", () => {
  assert.equal(trainingPrice(TEST_PAY), 2_000_000n);
  assert.deepEqual(budgetOf(told({}), 1_000_000), {
    left: 7_500_000n,
    funded: 10_000_000n,
    tokens: 3_000_000,
  });
  assert.equal(budgetOf(told({}), 1e9)?.left, 0n);
  assert.equal(budgetOf(told(null), 1)?.funded, 0n);
  assert.equal(budgetOf({ terms: TEST_PAY, standing: null, trouble: "x" }, 1), null);
});

test("a local chain is one by its number, or by where it answers", () => {
  assert.equal(isLocal(told({})), true, "the number of the local chain");
  const chain = { ...TEST_PAY.chain, chainId: 1 };
  const terms = { ...TEST_PAY, chain };
  assert.equal(isLocal({ ...told({}), terms }), false);
  const standing = { ...STANDING, localRpc: "http://127.0.0.1:8545" };
  assert.equal(isLocal({ terms, standing, trouble: null }), true);
});
