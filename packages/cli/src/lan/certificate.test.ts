import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { lanCertificate } from "./certificate.ts";

const DAY_MS = 86_400_000;
const now = new Date("2026-11-21T00:00:00Z");

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-lan-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "lan");
}

test("a certificate is good for its addresses, for a server, and for 397 days at most", async (t) => {
  const folder = folderOf(t);
  const made = await lanCertificate({ folder, addresses: ["192.168.7.5", "10.0.0.2"], now });
  const parsed = new X509Certificate(made.certificate);
  assert(made.isNew);
  assert(parsed.checkPrivateKey(createPrivateKey(made.key)));
  for (const ip of ["192.168.7.5", "10.0.0.2", "127.0.0.1"]) assert(parsed.checkIP(ip), ip);
  assert.equal(parsed.checkIP("192.168.7.6"), undefined);
  assert.deepEqual(parsed.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
  assert.equal(parsed.ca, false);
  const span = parsed.validToDate.getTime() - parsed.validFromDate.getTime();
  assert(span <= 397 * DAY_MS);
  assert.equal(statSync(join(folder, "certificate.pem")).mode & 0o777, 0o600);
});

test("it is kept, for as long as it covers the addresses and has days left", async (t) => {
  const folder = folderOf(t);
  const at = (days: number): Date => new Date(now.getTime() + days * DAY_MS);
  const first = await lanCertificate({ folder, addresses: ["192.168.7.5"], now });
  const again = await lanCertificate({ folder, addresses: ["192.168.7.5"], now: at(300) });
  assert.deepEqual(again, { ...first, isNew: false });
  const moved = await lanCertificate({ folder, addresses: ["192.168.9.1"], now });
  assert(moved.isNew && moved.fingerprint !== first.fingerprint);
  const late = await lanCertificate({ folder, addresses: ["192.168.9.1"], now: at(390) });
  assert(late.isNew && late.fingerprint !== moved.fingerprint);
  assert.deepEqual(readdirSync(folder), ["certificate.pem"]);
});

test("a damaged file is replaced, and a folder that cannot be written is told", async (t) => {
  const folder = folderOf(t);
  const request = { folder, addresses: ["192.168.7.5"], now };
  await lanCertificate(request);
  const begin = "-----BEGIN PRIVATE KEY-----\nx\n-----BEGIN CERTIFICATE-----\ny\n";
  for (const text of ["", "nothing", begin]) {
    writeFileSync(join(folder, "certificate.pem"), text);
    assert((await lanCertificate(request)).isNew, JSON.stringify(text));
  }
  const blocked = join(folder, "certificate.pem", "below");
  await assert.rejects(lanCertificate({ ...request, folder: blocked }), InputError);
});
