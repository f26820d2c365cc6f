// The device's keys: made once, kept in a file that only its owner can read, used to sign.
// Not an account: whom its credit is paid to is payout.ts's.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { join } from "node:path";
import { fromHex, isHex, toHex } from "@manyhands/base/bytes";
import { type Decoded, object, oneOf, problemText, text } from "@manyhands/base/decode";
import { workerIdOf } from "@manyhands/protocol/keys";
import type { Identity, VerifySignature } from "../core/types.ts";
import { StorageError } from "../host/errors.ts";
import { replaceFile } from "./atomic-file.ts";
import { readIfThere } from "./disk-files.ts";

const keyFileDecoder = object({
  form: oneOf("manyhands device 1"),
  /** PKCS #8, PEM. */
  signing: text(1_024),
  exchange: text(1_024),
});
type KeyFile = Decoded<typeof keyFileDecoder>;

/** Bytes of a raw Ed25519 or X25519 public key: the last ones of its DER form. */
const RAW_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/**
 * The folder's keys; new ones if it has none. @throws StorageError if the file is not a key file
 */
export async function deviceIdentity(folder: string): Promise<Identity> {
  const path = join(folder, "device.json");
  const found = await readIfThere(path);
  const file = found ? readKeys(path, found.toString()) : await makeKeys(path);
  const signing = createPrivateKey(file.signing);
  const signingKey = { algorithm: "ed25519", bytes: rawPublic(signing) } as const;
  const exchangeKey = { algorithm: "x25519", bytes: rawPublic(createPrivateKey(file.exchange)) };
  return {
    workerId: workerIdOf(signingKey),
    signingKey,
    exchangeKey: { ...exchangeKey, algorithm: "x25519" },
    sign: (bytes) => toHex(sign(null, bytes, signing)),
  };
}

/** Ed25519, for the coordinator's signatures. */
export const verifySignature: VerifySignature = (key, bytes, signature) => {
  if (!isHex(key.bytes, RAW_KEY_BYTES) || !isHex(signature, SIGNATURE_BYTES)) return false;
  const x = Buffer.from(fromHex(key.bytes)).toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return verify(null, bytes, publicKey, fromHex(signature));
};

function readKeys(path: string, content: string): KeyFile {
  const decoded = keyFileDecoder(parsedJson(content));
  if (decoded.ok) return decoded.value;
  // Never replaced by itself: the key is what credit is bound to.
  throw new StorageError(`${path} is not a device key: ${problemText(decoded.error)}`, {
    hint: "restore the file from a copy, or choose another folder to start as a new device",
  });
}

function parsedJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    // The decoder's sentence says what was expected.
    return content;
  }
}

async function makeKeys(path: string): Promise<KeyFile> {
  const file: KeyFile = {
    form: "manyhands device 1",
    signing: pem(generateKeyPairSync("ed25519").privateKey),
    exchange: pem(generateKeyPairSync("x25519").privateKey),
  };
  await replaceFile(path, [Buffer.from(`${JSON.stringify(file, null, 2)}\n`)], { mode: 0o600 });
  return file;
}

function pem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function rawPublic(key: KeyObject): string {
  const der = createPublicKey(key).export({ type: "spki", format: "der" });
  return toHex(der.subarray(-RAW_KEY_BYTES));
}
