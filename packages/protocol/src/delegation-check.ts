// Did this account let this device work for it? EIP-712's hash and ECDSA's recovery, computed here:
// no chain is asked, so every replay of a log comes to the same answer.
// Not ERC-1271: what a contract wallet would say, only its chain knows.
import { type Bytes, concatBytes, fromHex, toHex, uint64, utf8 } from "@manyhands/base/bytes";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { DELEGATION_DOMAIN, DELEGATION_TYPES, type Delegation } from "./delegation.ts";

/**
 * What is wrong with a delegation; null if its account has signed it.
 *
 * One signature has one form: s ≤ n/2, and v is 27 or 28. So nobody can make a second one from it.
 *
 * @param signature r ‖ s ‖ v, 65 bytes in hex
 * @source docs/spec §9.2; EIP-712, EIP-2
 */
export function delegationProblem(delegation: Delegation, signature: string): string | null {
  const bytes = fromHex(signature);
  const v = bytes[64] ?? 0;
  if (v !== 27 && v !== 28) return `expected a signature's last byte 27 or 28, found ${v}`;
  const signer = signerOf(delegationDigest(delegation), bytes.subarray(0, 64), v - 27);
  if (signer === null) return "expected a signature with s at most n/2, of a point on secp256k1";
  if (signer === delegation.account) return null;
  return (
    `expected the signature of 0x${delegation.account} for this device, run and chain, ` +
    `found one that gives 0x${signer}`
  );
}

/** 20 bytes in hex; null where no key can have signed, or in the form that was not meant. */
function signerOf(digest: Bytes, rs: Bytes, recovery: number): string | null {
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

/** keccak256("\x19\x01" ‖ domain separator ‖ hash of the struct). @source EIP-712 */
export function delegationDigest({ chain, account, device, run }: Delegation): Bytes {
  const { name, version } = DELEGATION_DOMAIN;
  const domain = structHash("EIP712Domain", [
    keccak_256(utf8(name)),
    keccak_256(utf8(version)),
    uint64(chain.chainId),
    fromHex(chain.registry),
  ]);
  const struct = structHash("Delegation", [account, device, run].map(fromHex));
  return keccak_256(concatBytes(Uint8Array.of(0x19, 0x01), domain, struct));
}

/** keccak256(keccak256(the type as text) ‖ its members as 32-byte words). */
function structHash(type: keyof typeof DELEGATION_TYPES, members: readonly Bytes[]): Bytes {
  const fields = DELEGATION_TYPES[type].map((field) => `${field.type} ${field.name}`);
  const text = `${type}(${fields.join(",")})`;
  return keccak_256(concatBytes(keccak_256(utf8(text)), ...members.map(word)));
}

/** Left-padded with zeros to 32 bytes. */
function word(bytes: Bytes): Bytes {
  const out = new Uint8Array(32);
  out.set(bytes, 32 - bytes.length);
  return out;
}
