// Whose ECDSA signature it is: recovery on secp256k1, and the one form that a signature may have.
// Not what was signed: that is the caller's hash.
import { type Bytes, fromHex, isHex, toHex } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";

/**
 * The account whose key signed a hash: 20 bytes in hex. The error is a sentence about the form.
 *
 * One signature has one form: s ≤ n/2, and v is 27 or 28. So nobody can make a second one from it.
 *
 * @param digest 32 bytes
 * @param signature r ‖ s ‖ v, 65 bytes in hex
 * @source SEC 1 §4.1.6; EIP-2
 */
export function signerOf(digest: Bytes, signature: string): Result<string, string> {
  if (!isHex(signature, 65)) return err("expected a signature of 65 bytes in lower-case hex");
  const bytes = fromHex(signature);
  const v = bytes[64] ?? 0;
  if (v !== 27 && v !== 28) return err(`expected a signature's last byte 27 or 28, found ${v}`);
  const account = recovered(digest, bytes.subarray(0, 64), v - 27);
  if (account !== null) return ok(account);
  return err("expected a signature with s at most n/2, of a point on secp256k1");
}

/** Null where no key can have signed, or in the form that was not meant. */
function recovered(digest: Bytes, rs: Bytes, recovery: number): string | null {
  try {
    const signature = secp256k1.Signature.fromBytes(rs, "compact").addRecoveryBit(recovery);
    if (signature.hasHighS()) return null;
    const key = signature.recoverPublicKey(digest).toBytes(false);
    return toHex(keccak_256(key.subarray(1)).subarray(12));
  } catch {
    // r or s is 0 or too large, or no point has this r.
    return null;
  }
}
