// Signatures for a closed world: a keyed hash, and a ring that knows every secret. A liar can sign
// with its own key only. Not cryptography: the real shells use Ed25519.
import { createHash } from "node:crypto";
import type { Bytes } from "@manyhands/base/bytes";
import type { SigningKey } from "@manyhands/protocol/keys";

export type KeyPair = {
  readonly key: SigningKey;
  readonly sign: (bytes: Bytes) => string;
  /** The ring's: of anybody's signature. */
  readonly verify: KeyRing["verify"];
};

export class KeyRing {
  readonly #secrets = new Map<string, string>();

  create(name: string): KeyPair {
    const secret = hashOf(`secret of ${name}`);
    const bytes = hashOf(`public key of ${name}`);
    this.#secrets.set(bytes, secret);
    return {
      key: { algorithm: "ed25519", bytes },
      sign: (signed) => signatureOf(secret, signed),
      verify: this.verify,
    };
  }

  /** As the shells' verify: false for an unknown key. */
  readonly verify = (key: SigningKey, bytes: Bytes, signature: string): boolean => {
    const secret = this.#secrets.get(key.bytes);
    return secret !== undefined && signatureOf(secret, bytes) === signature;
  };
}

function signatureOf(secret: string, bytes: Bytes): string {
  return createHash("sha512").update(secret).update(bytes).digest("hex");
}

/** 32 bytes in hex that a word stands for. */
export function hashOf(word: string): string {
  return createHash("sha256").update(word).digest("hex");
}
