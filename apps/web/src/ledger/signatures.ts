// Ed25519 in the page: the browser's own where it has it, else plain JavaScript, loaded then.
// Browsers without a secure context have no WebCrypto at all.
import { fromHex, isHex } from "@manyhands/base/bytes";
import type { SigningKey } from "@manyhands/protocol/keys";
import type { Claim, VerifyClaim } from "./check-log.ts";

type VerifyOne = (key: SigningKey, claim: Claim) => Promise<boolean>;

const KEYS_KEPT = 4_096;

export async function claimVerifier(): Promise<VerifyClaim> {
  const verify = (await platformVerifier()) ?? (await plainVerifier());
  return async (claim) => {
    if (!isHex(claim.signature, 64)) return false;
    for (const key of claim.keys) if (await verify(key, claim)) return true;
    return false;
  };
}

/** Uint8Array on a buffer of its own, as WebCrypto asks for it. */
function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(fromHex(hex));
}

async function platformVerifier(): Promise<VerifyOne | null> {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return null;
  try {
    await subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
  } catch {
    // An older browser: WebCrypto without this curve.
    return null;
  }
  const known = new Map<string, Promise<CryptoKey>>();
  const imported = ({ bytes }: SigningKey): Promise<CryptoKey> => {
    const before = known.get(bytes);
    if (before) return before;
    if (known.size >= KEYS_KEPT) known.clear();
    const key = subtle.importKey("raw", bytesOf(bytes), { name: "Ed25519" }, false, ["verify"]);
    known.set(bytes, key);
    return key;
  };
  return async (key, { bytes, signature }) => {
    const signed = Uint8Array.from(bytes);
    return subtle.verify({ name: "Ed25519" }, await imported(key), bytesOf(signature), signed);
  };
}

async function plainVerifier(): Promise<VerifyOne> {
  const { ed25519 } = await import("@noble/curves/ed25519.js");
  return async (key, { bytes, signature }) =>
    ed25519.verify(fromHex(signature), bytes, fromHex(key.bytes), { zip215: false });
}
