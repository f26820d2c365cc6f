import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import { type Delegation, delegationHex, delegationTypedData } from "./delegation.ts";
import { delegationDigest, delegationProblem } from "./delegation-check.ts";
import type { Payout } from "./keys.ts";
import { type FrozenRun, runIdOf } from "./run-config.ts";
import { replay, step } from "./step.ts";
import {
  hashOf,
  joinOf,
  runCreated,
  TEST_PAY,
  testRun,
  workerIdFor,
  workerJoined,
} from "./testing/fixtures.ts";
import { TestWallet } from "./testing/wallet.ts";

const { chain } = TEST_PAY;
const PAID: FrozenRun = { ...testRun(), pay: TEST_PAY };

/** Made with viem 2.57.1: hashTypedData and signTypedData, key SHA-256("wallet of ada"). */
const VECTOR = {
  delegation: {
    chain: { chainId: 7_433_000, registry: "aa".repeat(20) },
    account: "fe34137b2834794509c54fdea74abca271ea6d95",
    device: hashOf("device of ada"),
    run: hashOf("run"),
  },
  digest: "2f4aff02e550171b82340fb32b514659017368d55a9457f3a94872b988a8cee3",
  signature:
    "41d722559faedf0aabbad4312fe1e6d4f75a66e84fb3785659fdf0448943f203" +
    "7442ff2f86a5c31ce3d7c4cf6ff24d3a603cc986c01265a1a34d3c5fe7430b9a1b",
} as const;

/** The other form of a signature, which the bare curve would take: n − s, with the other parity. */
function malleated(signature: string): string {
  const order = 0xffffffff_ffffffff_ffffffff_fffffffe_baaedce6_af48a03b_bfd25e8c_d0364141n;
  const s = order - BigInt(`0x${signature.slice(64, 128)}`);
  const v = 27 + 28 - Number.parseInt(signature.slice(128), 16);
  return signature.slice(0, 64) + s.toString(16).padStart(64, "0") + v.toString(16);
}

function joined(payout: Payout, run = PAID): string | null {
  const created = replay(null, [runCreated(run)]);
  assert.ok(created.ok);
  const event = { ...workerJoined("ada", 1), join: { ...joinOf("ada"), payout } };
  const decided = step(created.value, event, { now: 1 });
  return decided.ok ? null : `${decided.error.code}: ${decided.error.message}`;
}

test("hash and check agree with viem's", () => {
  const { delegation, digest, signature } = VECTOR;
  assert.equal(toHex(delegationDigest(delegation)), digest);
  assert.equal(delegationProblem(delegation, signature), null);
  assert.equal(new TestWallet("ada").account, delegation.account);
  assert.equal(new TestWallet("ada").delegate(delegation).delegation, signature);
});

test("it is for one account, device, run and chain", () => {
  const { delegation, signature } = VECTOR;
  const changes: readonly Partial<Delegation>[] = [
    { account: new TestWallet("eve").account },
    { device: hashOf("device of eve") },
    { run: hashOf("another run") },
    { chain: { ...delegation.chain, chainId: 1 } },
    { chain: { ...delegation.chain, registry: "ab".repeat(20) } },
  ];
  for (const change of changes) {
    const problem = delegationProblem({ ...delegation, ...change }, signature);
    assert.match(problem ?? "", /expected the signature of 0x[0-9a-f]{40} for this device, run/);
  }
});

test("a signature has one form", () => {
  const { delegation, signature } = VECTOR;
  const problemOf = (changed: string): string => delegationProblem(delegation, changed) ?? "";
  assert.match(problemOf(malleated(signature)), /s at most n\/2/);
  assert.match(problemOf(`${signature.slice(0, 128)}00`), /27 or 28, found 0/);
  assert.match(problemOf(`${signature.slice(0, 128)}1d`), /27 or 28, found 29/);
  for (const none of [
    "00".repeat(64),
    "ff".repeat(64),
    signature.slice(64, 128) + "00".repeat(32),
  ]) {
    assert.match(problemOf(`${none}1b`), /of a point on secp256k1/);
  }
});

test("a wallet's answer is brought into that form, and a contract wallet's is none", () => {
  const { signature } = VECTOR;
  const zeroOrOne = `0x${signature.slice(0, 128)}00`.toUpperCase().replace("0X", "0x");
  assert.equal(delegationHex(`0x${signature}`), signature);
  assert.equal(delegationHex(zeroOrOne), signature);
  for (const none of ["", "0x", `0x${signature}6492`, `0x${signature.slice(0, 128)}02`, "0xzz"]) {
    assert.equal(delegationHex(none), null);
  }
  assert.equal(delegationHex(`0x${signature.slice(0, 128)}1d`), null);
});

test("what a wallet is shown has every field, and is JSON", () => {
  const typed = delegationTypedData(VECTOR.delegation);
  assert.deepEqual(JSON.parse(JSON.stringify(typed)), typed);
  assert.equal(typed.message.account, `0x${VECTOR.delegation.account}`);
  assert.equal(typed.domain.verifyingContract, `0x${chain.registry}`);
});

test("a join is taken with its delegation, refused with another's, and free to have none", () => {
  const [run, device] = [runIdOf(PAID), workerIdFor("ada")];
  const wallet = new TestWallet("ada");
  const payout = wallet.delegate({ chain, device, run });
  assert.equal(joined(payout), null);
  assert.equal(joined({ ...payout, delegation: null }), null, "an account that was pasted");
  assert.match(
    joined(wallet.delegate({ chain, device: workerIdFor("bob"), run })) ?? "",
    /^join\/delegation: expected the signature of/,
  );
  assert.match(joined({ ...payout, delegation: malleated(payout.delegation) }) ?? "", /n\/2/);
  assert.match(joined(payout, testRun()) ?? "", /^join\/delegation: .*this run pays nothing/);
});
