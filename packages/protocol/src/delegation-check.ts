// Did this account let this device work for it? EIP-712's hash and its signer, computed here: no
// chain is asked, so every replay of a log comes to the same answer.
// Not ERC-1271: what a contract wallet would say, only its chain knows.
import { type Bytes, concatBytes, fromHex, uint64, utf8 } from "@manyhands/base/bytes";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { DELEGATION_DOMAIN, DELEGATION_TYPES, type Delegation } from "./delegation.ts";
import { signerOf } from "./signer.ts";

/**
 * What is wrong with a delegation; null if its account has signed it.
 *
 * @param signature r ‖ s ‖ v, 65 bytes in hex, in the form of signerOf
 * @source docs/spec §9.2; EIP-712
 */
export function delegationProblem(delegation: Delegation, signature: string): string | null {
  const signer = signerOf(delegationDigest(delegation), signature);
  if (!signer.ok) return signer.error;
  if (signer.value === delegation.account) return null;
  return (
    `expected the signature of 0x${delegation.account} for this device, run and chain, ` +
    `found one that gives 0x${signer.value}`
  );
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
