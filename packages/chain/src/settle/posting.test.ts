// What counts as an attestor's signature: one string of bytes, so that nobody can have one stored
// that the contract refuses. Not who may sign: settler.test.ts.
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { type Hex, keccak256, parseSignature, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { type Posting, recoverAttestor, signPosting } from "./posting.ts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const attestor = privateKeyToAccount(keccak256(toHex("attestor")));
const domain = { chainId: 7_433, settlement: attestor.address };
const root = keccak256(toHex("root"));
const posting: Posting = {
  ...{ runId: 1n, sequence: 1n, roundsRoot: root, creditRoot: root, total: 7n },
  ...{ modelRoot: root, evidence: root },
};

/** The other signature of the same key: n − s, and v turned round. */
function twin(signature: Hex): Hex {
  const { r, s, yParity } = parseSignature(signature);
  const high = toHex(ORDER - BigInt(s), { size: 32 });
  return `${r}${high.slice(2)}${yParity === 0 ? "1c" : "1b"}`;
}

test("an attestor's signature has one form", async () => {
  const signature = await signPosting(attestor, posting, domain);
  equal(await recoverAttestor(posting, domain, signature), attestor.address);
  const v = Number.parseInt(signature.slice(-2), 16) - 27;
  const oldForm: Hex = `0x${signature.slice(2, -2)}0${v}`;
  const others = [twin(signature), `${signature}00` as Hex, signature.slice(0, -2) as Hex, oldForm];
  const found = await Promise.all(others.map((one) => recoverAttestor(posting, domain, one)));
  deepEqual(found, [null, null, null, null]);
});
