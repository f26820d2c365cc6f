import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ok } from "@manyhands/base/result";
import { freezeRun } from "@manyhands/protocol/run-config";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import type { AccountStanding, SettlementDesk } from "../settlement-desk.ts";
import { type TinyRun, tinyRun } from "../testing/tiny-run.ts";
import { startTiny } from "../testing/wire.ts";

const bearer = (token: string, more: RequestInit = {}): RequestInit => ({
  ...more,
  headers: { authorization: `Bearer ${token}` },
});

function paidRun(): TinyRun {
  const tiny = tinyRun();
  return { ...tiny, run: freezeRun({ ...tiny.run, pay: TEST_PAY }) };
}

const ADA = "ab".repeat(20);
const NOTHING = { earned: "0", pending: "0", final: "0", paid: "0", claim: null };

function deskThat(asked: string[]): SettlementDesk {
  const told = async (account: string): Promise<AccountStanding> => ({ account, ...NOTHING });
  return {
    list: () => [],
    bundle: () => null,
    sign: async () => err("no"),
    standing: async () => err("the chain does not answer"),
    account: async (account) => {
      asked.push(account);
      return ok(await told(account));
    },
    settle: async () => ok("Settlement 1 waits for 1 more attestor."),
    adopt: async (transaction) => (/^0x00/.test(transaction) ? ok(3) : err("another run")),
  };
}

test("the terms are told with the run's token, and why there is no more", async (t) => {
  const { coordinator } = await startTiny(t, { tiny: paidRun() });
  const url = `${coordinator.runUrl}/pay`;
  assert.equal((await fetch(url)).status, 401);
  const told = await (await fetch(url, bearer(coordinator.admissionToken))).json();
  assert.deepEqual((told as { terms: unknown }).terms, TEST_PAY);
  assert.match((told as { trouble: string }).trouble, /nobody settles beside this coordinator/);
  const account = await fetch(`${url}/accounts/${ADA}`, bearer(coordinator.admissionToken));
  assert.equal(account.status, 409);
});

test("a run that pays nothing has no pay", async (t) => {
  const { coordinator } = await startTiny(t);
  const answer = await fetch(`${coordinator.runUrl}/pay`, bearer(coordinator.admissionToken));
  assert.equal(answer.status, 404);
});

test("accounts are asked of the desk only if they are accounts", async (t) => {
  const asked: string[] = [];
  const { coordinator } = await startTiny(t, { tiny: paidRun(), settlements: deskThat(asked) });
  const guest = bearer(coordinator.admissionToken);
  const at = (account: string) => fetch(`${coordinator.runUrl}/pay/accounts/${account}`, guest);
  assert.deepEqual(await (await at(`0x${ADA.toUpperCase()}`)).json(), { account: ADA, ...NOTHING });
  for (const account of ["12", `${ADA}00`, "..%2Fkeys", "%00", "vitalik.eth"]) {
    assert.equal((await at(account)).status, 400, account);
  }
  assert.deepEqual(asked, [ADA]);
  const pay = await (await fetch(`${coordinator.runUrl}/pay`, guest)).json();
  assert.equal((pay as { trouble: string }).trouble, "the chain does not answer");
});

test("settling, and naming the run on its chain, are the owner's", async (t) => {
  const { coordinator } = await startTiny(t, { tiny: paidRun(), settlements: deskThat([]) });
  const post = (path: string, token: string, body: unknown = {}) =>
    fetch(
      `${coordinator.runUrl}/pay/${path}`,
      bearer(token, { method: "POST", body: JSON.stringify(body) }),
    );
  const { ownerToken, admissionToken } = coordinator;
  assert.equal((await post("settle", admissionToken)).status, 403);
  assert.match(await (await post("settle", ownerToken)).text(), /waits for 1 more/);
  const hash = `0x${"00".repeat(32)}`;
  assert.equal((await post("run", admissionToken, { transaction: hash })).status, 403);
  const made = await post("run", ownerToken, { transaction: hash });
  assert.deepEqual(await made.json(), { onChainRunId: 3 });
  const other = await post("run", ownerToken, { transaction: `0x${"11".repeat(32)}` });
  assert.equal(other.status, 422);
  for (const body of [{}, { transaction: "0x12" }, { transaction: 7 }, "x".repeat(2_000)]) {
    assert.equal((await post("run", ownerToken, body)).status, 400);
  }
});
