import assert from "node:assert/strict";
import { test } from "node:test";
import { accountFlag, accountHex, accountText, delegationFlag } from "./account.ts";

const CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"; // from EIP-55
const LOWER = CHECKSUMMED.toLowerCase();

test("an account is taken with its checksum, or without any", () => {
  assert.equal(accountFlag(CHECKSUMMED), CHECKSUMMED);
  assert.equal(accountFlag(` ${LOWER} `), CHECKSUMMED);
  assert.equal(accountText(accountHex(CHECKSUMMED)), CHECKSUMMED);
});

test("a wrong checksum, another length and the zero account are refused with a sentence", () => {
  const swapped = CHECKSUMMED.replace("5aAeb", "5AAeb");
  assert.throws(() => accountFlag(swapped), /checksum/);
  assert.throws(() => accountFlag(CHECKSUMMED.replace("6053", "6054")), /checksum/);
  for (const text of ["", "0x12", `${LOWER}0`, LOWER.slice(2), "vitalik.eth"]) {
    assert.throws(() => accountFlag(text), /0x and 40 hex digits/);
  }
  assert.throws(() => accountFlag(`0x${"0".repeat(40)}`), /nobody/);
});

test("a wallet's signature is taken as wallets write it, and nothing else is", () => {
  const rs = "1f".repeat(64);
  assert.equal(delegationFlag(`0x${rs.toUpperCase()}00`), `${rs}1b`);
  for (const text of ["", "0x12", `0x${rs}`, `0x${rs}1d`, `0x${rs}1b${"00".repeat(32)}`]) {
    assert.throws(() => delegationFlag(text), /130 hex digits.*contract wallet/);
  }
});
