// The worker's folder: kept files torn at every place, the lock, the device key, the cache, the
// join URL.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fromHex, toHex, utf8 } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { blobRoot, sha256 } from "@manyhands/base/hash";
import { hashOf } from "@manyhands/protocol/testing/fixtures";
import fc from "fast-check";
import { StorageError } from "../host/errors.ts";
import { parseJoinUrl } from "../host/join-url.ts";
import { BlobCache } from "./blob-cache.ts";
import { DiskFiles } from "./disk-files.ts";
import { FolderInUseError } from "./errors.ts";
import { lockFolder } from "./folder-lock.ts";
import { deviceIdentity, verifySignature } from "./identity.ts";
import { keptPayout } from "./payout.ts";
import { openState, sealState } from "./state-file.ts";

const ROOT = mkdtempSync(join(tmpdir(), "manyhands-worker-test-"));
after(() => rmSync(ROOT, { recursive: true, force: true }));

let folders = 0;
function newFolder(): string {
  folders += 1;
  return join(ROOT, String(folders));
}

function never(sentence: string): void {
  assert.fail(`no notice expected: ${sentence}`);
}

const HEADER = { rounds: 3, name: "straße" };
const PARTS = [Uint8Array.of(1, 2, 3), Uint8Array.of(10, 13, 0)];
const SEALED = new Uint8Array(Buffer.concat(sealState(HEADER, PARTS)));

test("a kept file comes back as it was, a missing one as none", async () => {
  const files = new DiskFiles(newFolder());
  assert.equal(await files.read("residual", never), null);
  await files.write("residual", HEADER, PARTS);
  await files.write("residual", { rounds: 4 }, PARTS);
  const kept = await files.read("residual", never);
  assert.deepEqual(kept?.header, { rounds: 4 });
  assert.deepEqual([...(kept?.payload ?? [])], [1, 2, 3, 10, 13, 0]);
  await files.remove("residual");
  assert.equal(await files.read("residual", never), null);
});

test("no truncation and no flipped bit of a kept file is taken for a whole one", () => {
  for (let length = 0; length < SEALED.length; length++) {
    assert.equal(openState(SEALED.subarray(0, length)).ok, false, `first ${length} B`);
  }
  fc.assert(
    fc.property(
      fc.nat({ max: SEALED.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      (at, flip) => {
        const damaged = SEALED.slice();
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        assert.equal(openState(damaged).ok, false);
      },
    ),
  );
  assert.equal(openState(SEALED).ok, true);
});

test("random bytes are never a kept file, and never an exception", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => !openState(bytes).ok));
});

test("a damaged file is set aside with a sentence, and the worker starts without it", async () => {
  const folder = newFolder();
  const files = new DiskFiles(folder);
  await files.write("weights", HEADER, PARTS);
  truncateSync(join(folder, "weights.bin"), 40);
  const notices: string[] = [];
  assert.equal(await files.read("weights", (sentence) => notices.push(sentence)), null);
  assert.match(notices.join(), /is damaged \(its checksum is wrong\); it is set aside/);
  assert.deepEqual(readdirSync(folder), ["weights.bin.damaged"]);
  assert.equal(await files.read("weights", never), null);
});

test("a write that fails leaves the old file and no rubbish", async () => {
  const folder = newFolder();
  const files = new DiskFiles(folder);
  await files.write("residual", HEADER, PARTS);
  const broken = [Uint8Array.of(1), Object.create(null) as Uint8Array];
  await assert.rejects(files.write("residual", {}, broken));
  assert.deepEqual((await files.read("residual", never))?.header, HEADER);
  assert.deepEqual(readdirSync(folder), ["residual.bin"]);
});

test("an account is kept for later starts, replaced when named anew, and never guessed", async () => {
  const folder = newFolder();
  const run = "00".repeat(32);
  assert.equal(await keptPayout(folder, run, undefined), undefined);
  const [first, second] = ["11", "22"].map((byte) => ({
    account: byte.repeat(20),
    delegation: null,
  }));
  assert.deepEqual(await keptPayout(folder, run, first), first);
  assert.deepEqual(await keptPayout(folder, run, undefined), first);
  await keptPayout(folder, run, second);
  assert.deepEqual(await keptPayout(folder, run, undefined), second);
  const older = { form: "manyhands payout 1", payout: first };
  writeFileSync(join(folder, "payout.json"), JSON.stringify(older));
  assert.deepEqual(await keptPayout(folder, run, undefined), first, "as it was written before");
  writeFileSync(join(folder, "payout.json"), '{"form":"manyhands payout 2"}');
  await assert.rejects(keptPayout(folder, run, undefined), /names no account.*account/);
  assert.deepEqual(await keptPayout(folder, run, second), second, "said anew, it is whole again");
});

test("a delegation is kept for its own run and account, and for no other", async () => {
  const folder = newFolder();
  const [run, other] = ["01", "02"].map((byte) => byte.repeat(32)) as [string, string];
  const account = "11".repeat(20);
  const pasted = { account, delegation: null };
  const signed = { account, delegation: "ab".repeat(65) };
  await keptPayout(folder, run, signed);
  assert.deepEqual(await keptPayout(folder, run, pasted), signed, "it was signed before");
  assert.deepEqual(await keptPayout(folder, other, undefined), pasted);
  const newer = { account, delegation: "cd".repeat(65) };
  assert.deepEqual(await keptPayout(folder, run, newer), newer);
  assert.deepEqual(await keptPayout(folder, run, undefined), newer);
  for (let i = 0; i < 256; i++) {
    await keptPayout(folder, i.toString(16).padStart(64, "0"), signed);
  }
  assert.deepEqual(await keptPayout(folder, run, undefined), pasted, "the oldest goes first");
  const another = { account: "22".repeat(20), delegation: null };
  await keptPayout(folder, other, another);
  assert.deepEqual(await keptPayout(folder, "f".padStart(64, "0"), undefined), another);
});

test("receipts are appended, one line each", async () => {
  const folder = newFolder();
  const files = new DiskFiles(folder);
  await files.addReceipt({ round: 0 });
  await files.addReceipt({ round: 1 });
  assert.equal(readFileSync(join(folder, "receipts.ndjson"), "utf8"), '{"round":0}\n{"round":1}\n');
});

test("a folder is one worker's: the second is told which process has it", () => {
  const folder = newFolder();
  const lock = lockFolder(folder);
  assert.throws(
    () => lockFolder(folder),
    (error) => {
      assert.ok(error instanceof FolderInUseError);
      assert.match(error.message, new RegExp(`process ${process.pid}`));
      assert.match(error.hint ?? "", /folder of its own/);
      return true;
    },
  );
  lock.release();
  lockFolder(folder).release();
  assert.equal(existsSync(join(folder, "lock")), false);
});

test("another living process keeps us out; a dead one, or a torn file, does not", async () => {
  const folder = newFolder();
  lockFolder(folder).release();
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"]);
  await once(child, "spawn");
  writeFileSync(join(folder, "lock"), `${child.pid}\n`);
  assert.throws(() => lockFolder(folder), FolderInUseError);
  child.kill("SIGKILL");
  await once(child, "exit");
  lockFolder(folder).release();
  const gone = spawnSync(process.execPath, ["-e", ""]).pid;
  writeFileSync(join(folder, "lock"), `${gone}\n`);
  lockFolder(folder).release();
  writeFileSync(join(folder, "lock"), "");
  lockFolder(folder).release();
  // Our own number from an earlier life, as in a container that starts again.
  writeFileSync(join(folder, "lock"), `${process.pid}\n`);
  lockFolder(folder).release();
});

test("a folder that cannot be made is told, not left to a stack", () => {
  const file = join(ROOT, "a file");
  writeFileSync(file, "");
  for (const folder of [file, join(file, "below")]) {
    assert.throws(() => lockFolder(folder), StorageError);
  }
  const made = join(newFolder(), "a", "b");
  lockFolder(made).release();
  assert.ok(statSync(made).isDirectory());
});

test("the device key is made once, private, and signs so that others can check", async () => {
  const folder = newFolder();
  const first = await deviceIdentity(folder);
  const again = await deviceIdentity(folder);
  assert.equal(again.workerId, first.workerId);
  assert.deepEqual(again.exchangeKey, first.exchangeKey);
  assert.notEqual((await deviceIdentity(newFolder())).workerId, first.workerId);
  assert.equal(statSync(join(folder, "device.json")).mode & 0o777, 0o600);
  const signature = first.sign(utf8("message"));
  assert.equal(again.sign(utf8("message")), signature);
  const x = Buffer.from(first.signingKey.bytes, "hex").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  assert.equal(verify(null, utf8("message"), key, fromHex(signature)), true);
  assert.equal(verify(null, utf8("other"), key, fromHex(signature)), false);
  assert.equal(verifySignature(first.signingKey, utf8("message"), signature), true);
  assert.equal(verifySignature(first.signingKey, utf8("other"), signature), false);
  assert.equal(verifySignature(first.signingKey, utf8("message"), "00"), false);
});

test("a damaged device key is never replaced by itself: credit is bound to it", async () => {
  const folder = newFolder();
  await deviceIdentity(folder);
  writeFileSync(join(folder, "device.json"), "{");
  await assert.rejects(deviceIdentity(folder), StorageError);
  assert.equal(readFileSync(join(folder, "device.json"), "utf8"), "{");
});

test("the cache fetches once, and again when the kept bytes are damaged", async () => {
  const folder = newFolder();
  const cache = new BlobCache(folder, sha256);
  const bytes = utf8("to be or not to be");
  const root = toHex(blobRoot(bytes, sha256));
  const wanted = { root, byteLength: bytes.length, use: "data" } as const;
  let fetches = 0;
  const get = () =>
    cache.get(wanted, async () => {
      fetches += 1;
      return bytes;
    });
  assert.deepEqual(new Uint8Array(await get()), bytes);
  assert.deepEqual(new Uint8Array(await get()), bytes);
  assert.equal(fetches, 1);
  writeFileSync(join(folder, "data", root), utf8("to be or not to bee"));
  await get();
  writeFileSync(join(folder, "data", root), utf8("to be or not to bE"));
  assert.deepEqual(new Uint8Array(await get()), bytes);
  assert.equal(fetches, 3);
});

test("of checkpoints the newest four are kept, of data everything", async () => {
  const folder = newFolder();
  const cache = new BlobCache(folder, sha256);
  const roots: string[] = [];
  for (let i = 0; i < 6; i++) {
    const bytes = utf8(`weights ${i}`);
    const root = toHex(blobRoot(bytes, sha256));
    roots.push(root);
    for (const use of ["checkpoint", "data"] as const) {
      await cache.get({ root, byteLength: bytes.length, use }, async () => bytes);
    }
    utimesSync(join(folder, "checkpoint", root), 1_000 + i, 1_000 + i);
  }
  assert.equal(readdirSync(join(folder, "data")).length, 6);
  const kept = readdirSync(join(folder, "checkpoint"));
  assert.equal(kept.length, 4);
  assert.ok(!kept.includes(roots[0] ?? "") && !kept.includes(roots[1] ?? ""));
});

test("a join URL gives run, token and addresses", () => {
  const runId = hashOf("run");
  assert.deepEqual(parseJoinUrl(`http://10.0.0.1:4000/runs/${runId}/#s3cret`), {
    runId,
    token: "s3cret",
    runUrl: `http://10.0.0.1:4000/runs/${runId}`,
    socketUrl: `ws://10.0.0.1:4000/runs/${runId}/socket`,
  });
  const secure = parseJoinUrl(`https://example.org/swarm/runs/${runId}#t`);
  assert.equal(secure.socketUrl, `wss://example.org/swarm/runs/${runId}/socket`);
});

const badUrls: readonly [string, RegExp][] = [
  ["not a url", /not an http or https address/],
  [`ftp://host/runs/${hashOf("run")}#t`, /not an http or https address/],
  ["http://host/#t", /names no run/],
  ["http://host/runs/abc#t", /names no run: found the path \/runs\/abc/],
  [`http://host/runs/${hashOf("run")}`, /no admission token/],
  [`http://host/runs/${hashOf("run")}#${"t".repeat(129)}`, /no admission token/],
];
for (const [url, sentence] of badUrls) {
  test(`${url.slice(0, 40)} is no join URL`, () => {
    assert.throws(
      () => parseJoinUrl(url),
      (error) => {
        assert.ok(error instanceof InputError && error.hint?.includes("#<token>"));
        return sentence.test(error.message);
      },
    );
  });
}
