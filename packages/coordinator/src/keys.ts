// The coordinator's secrets of one run: its Ed25519 key, and the tokens of owner and joiners. One
// file, mode 0600. Not the workers' keys: those never leave their devices.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { fromHex, isHex, toHex, utf8 } from "@manyhands/base/bytes";
import { type Decoded, hex, object, problemText, text } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import type { SigningKey } from "@manyhands/protocol/keys";
import { platformSha256 } from "./blobs/blob-hasher.ts";
import { DiskError, errorCodeOf, RunFolderError } from "./errors.ts";
import type { Sign, VerifySignature } from "./log/log.ts";

const keysDecoder = object({
  publicKey: hex(32),
  privateKey: hex(32),
  admissionToken: text(128),
  ownerToken: text(128),
});
type KeysFile = Decoded<typeof keysDecoder>;

export type RunKeys = {
  readonly authority: SigningKey;
  readonly sign: Sign;
  readonly admissionToken: string;
  readonly ownerToken: string;
};

/** Reads the file, or makes it. @throws RunFolderError if it is there, but not what it should be */
export function openKeys(path: string): RunKeys {
  const stored = readKeys(path);
  const keys = stored ?? newKeys();
  if (!stored) writeKeys(path, keys);
  const privateKey = privateKeyOf(keys);
  return {
    authority: { algorithm: "ed25519", bytes: keys.publicKey },
    sign: (bytes) => toHex(new Uint8Array(sign(null, bytes, privateKey))),
    admissionToken: keys.admissionToken,
    ownerToken: keys.ownerToken,
  };
}

/**
 * The public key in a run folder, without the right to use the private one; null if there is no
 * file.
 */
export function readAuthority(path: string): SigningKey | null {
  const keys = readKeys(path);
  return keys && { algorithm: "ed25519", bytes: keys.publicKey };
}

function readKeys(path: string): KeysFile | null {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return null;
    throw new RunFolderError(`${path}: ${messageOf(error)}`, { cause: error });
  }
  const decoded = keysDecoder(value);
  if (!decoded.ok) throw new RunFolderError(`${path}: ${problemText(decoded.error)}`);
  return decoded.value;
}

function newKeys(): KeysFile {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  return {
    publicKey: hexOfBase64Url(jwk.x),
    privateKey: hexOfBase64Url(jwk.d),
    admissionToken: randomBytes(16).toString("base64url"),
    ownerToken: randomBytes(24).toString("base64url"),
  };
}

/** Whole or not at all, and durable before the first signature is given out. */
function writeKeys(path: string, keys: KeysFile): void {
  const temporary = `${path}.tmp`;
  try {
    const file = openSync(temporary, "w", 0o600);
    try {
      writeSync(file, `${JSON.stringify(keys, null, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    throw new DiskError(`writing ${path}`, error);
  }
}

function privateKeyOf(keys: KeysFile): KeyObject {
  const [d, x] = [base64UrlOfHex(keys.privateKey), base64UrlOfHex(keys.publicKey)];
  return createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d, x }, format: "jwk" });
}

function hexOfBase64Url(part: string | undefined): string {
  return Buffer.from(part ?? "", "base64url").toString("hex");
}

function base64UrlOfHex(part: string): string {
  return Buffer.from(part, "hex").toString("base64url");
}

const PUBLIC_KEYS_KEPT = 8_192;
const publicKeys = new Map<string, KeyObject>();

/** Ed25519. A key or signature that is none is refused like a wrong one. */
export const verifySignature: VerifySignature = (key, bytes, signature) => {
  if (!isHex(key.bytes, 32) || !isHex(signature, 64)) return false;
  return verify(null, bytes, publicKeyOf(key), fromHex(signature));
};

/** Importing a key takes as long as a verification, and workers sign every round. */
function publicKeyOf(key: SigningKey): KeyObject {
  const known = publicKeys.get(key.bytes);
  if (known) return known;
  const x = base64UrlOfHex(key.bytes);
  const made = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  if (publicKeys.size >= PUBLIC_KEYS_KEPT) publicKeys.clear();
  publicKeys.set(key.bytes, made);
  return made;
}

/** Equality of two secrets that takes the same time wherever they differ. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(platformSha256(utf8(a)), platformSha256(utf8(b)));
}
