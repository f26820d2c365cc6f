// Accounts on a chain as people write them: 0x…, with the checksum that its capitals are (EIP-55);
// and what their wallets sign.
import { delegationHex } from "@manyhands/protocol/delegation";
import { InvalidArgumentError } from "commander";
import type { Address } from "viem";
import { getAddress, isAddress } from "viem/utils";

/** An account from a flag. A wrong checksum is a typing mistake, and money would follow it. */
export function accountFlag(text: string): Address {
  const trimmed = text.trim();
  if (!/^0x[0-9a-fA-F]{40}$/.test(trimmed)) {
    throw new InvalidArgumentError("Expected an account: 0x and 40 hex digits.");
  }
  if (!isAddress(trimmed)) {
    throw new InvalidArgumentError(
      "Its capitals are not this account's checksum (EIP-55): a digit is wrong. Copy it again.",
    );
  }
  if (/^0x0*$/.test(trimmed)) {
    throw new InvalidArgumentError("This is the zero account: it belongs to nobody.");
  }
  return getAddress(trimmed);
}

/** A wallet's signature from a flag, as the log has it. */
export function delegationFlag(text: string): string {
  const hex = delegationHex(text);
  if (hex !== null) return hex;
  throw new InvalidArgumentError(
    "Expected a wallet's signature: 0x and 130 hex digits. A contract wallet has none that can " +
      "be checked here: leave it out, --pay-to alone pays it too.",
  );
}

/** As the log has it: 20 bytes in lower-case hex. */
export function accountHex(account: string): string {
  return account.slice(2).toLowerCase();
}

/** The log's account as people know it. */
export function accountText(hex: string): Address {
  return getAddress(`0x${hex}`);
}
