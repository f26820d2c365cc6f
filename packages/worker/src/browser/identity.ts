// The device's keys in a browser: made once, kept on the page's shelf, exported as the same text
// that Node keeps in device.json, so a device can move between page and command line.
// Signing is plain JavaScript (audited, constant results): the reducer signs at once, and WebCrypto
// only answers later.
import { fromHex, isHex, toHex } from "@manyhands/base/bytes";
import { type Decoded, object, oneOf, problemText, text } from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import { workerIdOf } from "@manyhands/protocol/keys";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import type { Identity, VerifySignature } from "../core/types.ts";

const keyFileDecoder = object({
  form: oneOf("manyhands device 1"),
  /** PKCS #8, PEM. */
  signing: text(1_024),
  exchange: text(1_024),
});
export type KeyFile = Decoded<typeof keyFileDecoder>;

/** DER before the 32 secret bytes: RFC 8410, one of each curve. */
const ED25519_DER = "302e020100300506032b657004220420";
const X25519_DER = "302e020100300506032b656e04220420";
const SECRET_BYTES = 32;

export function makeKeyFile(): KeyFile {
  return {
    form: "manyhands device 1",
    signing: pemOf(ED25519_DER, ed25519.utils.randomSecretKey()),
    exchange: pemOf(X25519_DER, x25519.utils.randomSecretKey()),
  };
}

/** The keys in a text that somebody exported; or what is wrong with it, without repeating it. */
export function readKeyFile(content: string): Result<KeyFile, string> {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return err("This is not a device key: it is not JSON.");
  }
  const decoded = keyFileDecoder(value);
  if (!decoded.ok) {
    const { path, expected } = decoded.error;
    const problem = problemText({ path, expected, found: "something else" });
    return err(`This is not a device key: ${problem}.`);
  }
  const { signing, exchange } = decoded.value;
  if (!secretIn(ED25519_DER, signing)) return err("The signing key in it is not an Ed25519 key.");
  if (!secretIn(X25519_DER, exchange)) return err("The exchange key in it is not an X25519 key.");
  return ok(decoded.value);
}

/** Null if the record is no key file. */
export function identityOf(record: unknown): Identity | null {
  const file = keyFileDecoder(record);
  if (!file.ok) return null;
  const secret = secretIn(ED25519_DER, file.value.signing);
  const exchange = secretIn(X25519_DER, file.value.exchange);
  if (!secret || !exchange) return null;
  const signingKey = {
    algorithm: "ed25519",
    bytes: toHex(ed25519.getPublicKey(secret)),
  } as const;
  return {
    workerId: workerIdOf(signingKey),
    signingKey,
    exchangeKey: { algorithm: "x25519", bytes: toHex(x25519.getPublicKey(exchange)) },
    sign: (bytes) => toHex(ed25519.sign(bytes, secret)),
  };
}

export const verifySignature: VerifySignature = (key, bytes, signature) => {
  if (!isHex(key.bytes, 32) || !isHex(signature, 64)) return false;
  return ed25519.verify(fromHex(signature), bytes, fromHex(key.bytes), { zip215: false });
};

function pemOf(prefix: string, secret: Uint8Array): string {
  const der = fromHex(`${prefix}${toHex(secret)}`);
  const base64 = btoa(String.fromCharCode(...der));
  return `-----BEGIN PRIVATE KEY-----\n${base64}\n-----END PRIVATE KEY-----\n`;
}

function secretIn(prefix: string, pem: string): Uint8Array | null {
  const base64 = pem.replaceAll(/-----(?:BEGIN|END) PRIVATE KEY-----|\s/g, "");
  let der: string;
  try {
    der = toHex(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
  } catch {
    // Not base64.
    return null;
  }
  const isKey = der.startsWith(prefix) && der.length === prefix.length + 2 * SECRET_BYTES;
  return isKey ? fromHex(der.slice(prefix.length)) : null;
}
