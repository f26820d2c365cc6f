// The certificate of this machine for its own network: made once, kept, made anew when the machine
// has another address or the time is nearly over. Not from an authority: a phone warns about it
// once, and then remembers it for as long as it stays the same.
import { X509Certificate } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError, messageOf } from "@manyhands/base/errors";
import { generate } from "selfsigned";

export type LanCertificate = {
  /** PEM, both. */
  readonly key: string;
  readonly certificate: string;
  /** SHA-256 of it as browsers show it: pairs of hexadecimal digits with colons. */
  readonly fingerprint: string;
  readonly isNew: boolean;
};

export type CertificateRequest = {
  /** Where it is kept. */
  readonly folder: string;
  /** IP addresses that it must be good for. */
  readonly addresses: readonly string[];
  readonly now: Date;
};

const DAY_MS = 86_400_000;
/** What iOS accepts at most of a certificate for a server. */
const DAYS = 397;
const DAYS_LEFT_MIN = 14;
const NAMES = ["localhost"];
const LOCAL_ADDRESSES = ["127.0.0.1", "::1"];
/** GeneralName's tags (RFC 5280 §4.2.1.6). */
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** @throws InputError if the folder cannot be written */
export async function lanCertificate(request: CertificateRequest): Promise<LanCertificate> {
  const kept = await keptCertificate(request);
  if (kept) return kept;
  const made = await makeCertificate(request);
  try {
    await keep(request.folder, made);
  } catch (caught) {
    throw new InputError(`the certificate cannot be kept in ${request.folder}`, {
      cause: caught,
      hint: messageOf(caught),
    });
  }
  return made;
}

/** One file, so that key and certificate are always a pair. */
function fileIn(folder: string): string {
  return join(folder, "certificate.pem");
}

const PARTS = /^(-----BEGIN [A-Z ]*PRIVATE KEY-----.*?)(-----BEGIN CERTIFICATE-----.*)$/s;

async function keptCertificate(request: CertificateRequest): Promise<LanCertificate | null> {
  const text = await readFile(fileIn(request.folder), "utf8").catch(() => "");
  const [, key, certificate] = PARTS.exec(text) ?? [];
  if (key === undefined || certificate === undefined) return null;
  try {
    const parsed = new X509Certificate(certificate);
    const days = (parsed.validToDate.getTime() - request.now.getTime()) / DAY_MS;
    const covers = request.addresses.every((address) => parsed.checkIP(address) !== undefined);
    if (days < DAYS_LEFT_MIN || !covers) return null;
    return { key, certificate, fingerprint: parsed.fingerprint256, isNew: false };
  } catch {
    // A damaged file is as good as none: another one is made.
    return null;
  }
}

async function makeCertificate({ addresses, now }: CertificateRequest): Promise<LanCertificate> {
  const ips = [...new Set([...addresses, ...LOCAL_ADDRESSES])];
  const made = await generate([{ name: "commonName", value: "Manyhands on this network" }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    notBeforeDate: new Date(now.getTime() - DAY_MS),
    notAfterDate: new Date(now.getTime() + (DAYS - 1) * DAY_MS),
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: [
          ...NAMES.map((value) => ({ type: DNS_NAME, value }) as const),
          ...ips.map((ip) => ({ type: IP_ADDRESS, ip }) as const),
        ],
      },
    ],
  });
  const { fingerprint256: fingerprint } = new X509Certificate(made.cert);
  return { key: `${made.private.trim()}\n`, certificate: made.cert, fingerprint, isNew: true };
}

async function keep(folder: string, made: LanCertificate): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const unfinished = `${fileIn(folder)}.${process.pid}`;
  await writeFile(unfinished, made.key + made.certificate, { mode: 0o600 });
  await rename(unfinished, fileIn(folder));
}
