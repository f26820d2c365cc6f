// Taking attestors' signatures: whose, of what, and at what cost, whoever sends them.
// Not what goes on chain: settler.test.ts.
import { deepEqual, equal, rejects } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { canonicalJson } from "@manyhands/base/canonical";
import type { Pay } from "@manyhands/protocol/pay";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import { keccak256, toHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { Journal } from "./journal.ts";
import { postingOf } from "./ledger.ts";
import { signPosting } from "./posting.ts";
import { bundleOf, NewestPosting, takeSignature } from "./settler.ts";

const keyed = (name: string): PrivateKeyAccount => privateKeyToAccount(keccak256(toHex(name)));
const [one, stranger] = [keyed("one"), keyed("stranger")];
const settlement = stranger.address;
const attestors = [one.address.slice(2).toLowerCase()];
const pay: Pay = { ...TEST_PAY, attestors, threshold: 1 };
const domain = { chainId: pay.chain.chainId, settlement };
const root = "ab".repeat(32);

function stored(sequence: number, accounts = 1) {
  const owed = Array.from({ length: accounts }, (_, i) => ({
    account: (i + 1).toString(16).padStart(40, "0"),
    cumulative: "2",
  }));
  const bundle = canonicalJson({
    ...{ form: "manyhands settlement 1", runId: root, onChainRunId: 1, sequence },
    ...{ round: sequence, rows: 1, head: root, roundsRoot: root, weightsRoot: root },
    ...{ accounts: owed, total: String(2 * accounts) },
  });
  return { sequence, round: sequence, bundle };
}

function journalOf(t: TestContext): Journal {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-signatures-"));
  const journal = Journal.open(join(folder, "settle.sqlite"));
  t.after(() => {
    journal.close();
    rmSync(folder, { recursive: true });
  });
  return journal;
}

test("a journal tells its settlements one by one", (t) => {
  const journal = journalOf(t);
  equal(journal.newestSettlement(), undefined);
  const both = [stored(1), stored(3)];
  for (const settlement of both) journal.putSettlement(settlement);
  deepEqual(journal.settlements(), both);
  deepEqual(journal.newestSettlement(), both[1]);
  deepEqual([journal.settlement(1), journal.settlement(2)], [both[0], undefined]);
  for (const none of [Number.NaN, 0.5, 2 ** 70]) equal(journal.settlement(none), undefined);
  deepEqual(journal.settlementPlaces(), [
    { sequence: 1, round: 1 },
    { sequence: 3, round: 3 },
  ]);
});

test("a signature is an attestor's, of the newest settlement", async (t) => {
  const journal = journalOf(t);
  const desk = { journal, pay, settlement };
  const [old, newest] = [stored(1), stored(2)];
  const signed = (by: PrivateKeyAccount, what: typeof old) =>
    signPosting(by, postingOf(bundleOf(what)), domain);
  await rejects(
    takeSignature(desk, 1, await signed(one, old)),
    /no settlement 1 waits for signatures here$/,
  );
  for (const settlement of [old, newest]) journal.putSettlement(settlement);
  await rejects(takeSignature(desk, 1, await signed(one, old)), /no settlement 1 waits .* but 2/);
  await rejects(takeSignature(desk, 2, await signed(one, old)), /not an attestor's/);
  await rejects(takeSignature(desk, 2, await signed(stranger, newest)), /not an attestor's/);
  const signature = await signed(one, newest);
  equal(await takeSignature(desk, 2, signature), one.address);
  deepEqual([...journal.signatures(2)], [[one.address, signature]]);
});

test("what is signed is computed once, however many signatures are sent", () => {
  const newest = new NewestPosting();
  const posting = newest.of(stored(1));
  equal(newest.of(stored(1)), posting);
  equal(newest.of(stored(2)).sequence, 2n);
});

test("more accounts than there are workers are no hindrance", () => {
  // A device that names another account at each of its joins has several.
  equal(bundleOf(stored(1, 10_000)).accounts.length, 10_000);
});
