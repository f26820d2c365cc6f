// A wallet of a name's own key, for tests: it signs delegations as real ones do.
// Not a secret: the same name gives the same key.
import { fromHex, toHex, utf8 } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import type { Delegation } from "../delegation.ts";
import { delegationDigest } from "../delegation-check.ts";
import type { Payout } from "../keys.ts";

export class TestWallet {
  readonly account: string;
  readonly #key: Uint8Array;

  constructor(name: string) {
    this.#key = sha256(utf8(`wallet of ${name}`));
    const point = secp256k1.getPublicKey(this.#key, false);
    this.account = toHex(keccak_256(point.subarray(1)).subarray(12));
  }

  delegate(delegation: Omit<Delegation, "account">): Payout & { readonly delegation: string } {
    const { account } = this;
    const digest = delegationDigest({ ...delegation, account });
    const options = { prehash: false, format: "recovered", lowS: true } as const;
    const signature = toHex(secp256k1.sign(digest, this.#key, options));
    const v = 27 + (fromHex(signature.slice(0, 2))[0] ?? 0);
    return { account, delegation: signature.slice(2) + v.toString(16) };
  }
}
