// Keys as data: an algorithm and its bytes, so that another algorithm can join without a new
// format. Not cryptography: shells sign and verify.
import { fromHex, toHex } from "@manyhands/base/bytes";
import { type Decoded, hex, nullable, object, oneOf } from "@manyhands/base/decode";
import { hashLeaf } from "@manyhands/base/hash";

export const signingKeyDecoder = object({ algorithm: oneOf("ed25519"), bytes: hex(32) });
export type SigningKey = Decoded<typeof signingKeyDecoder>;

export const exchangeKeyDecoder = object({ algorithm: oneOf("x25519"), bytes: hex(32) });
export type ExchangeKey = Decoded<typeof exchangeKeyDecoder>;

/**
 * Where credit is to be paid: an account, with its delegation to the device's key if there is a
 * wallet; null: a person named the account, and the device's signature of its join vouches for it.
 */
export const payoutDecoder = object({
  account: hex(20),
  delegation: nullable(hex(65)),
});
export type Payout = Decoded<typeof payoutDecoder>;

/** A worker's name: hash of its signing key, 32 bytes in hex. */
export type WorkerId = string;

export function workerIdOf(key: SigningKey): WorkerId {
  return toHex(hashLeaf(`manyhands/worker/${key.algorithm}/v1`, fromHex(key.bytes)));
}
