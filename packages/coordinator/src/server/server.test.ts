import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { checkUpdate } from "@manyhands/aggregation/codec/update";
import { defined } from "@manyhands/base/assert";
import { MESSAGE_BYTES_MAX } from "@manyhands/protocol/limits";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import fc from "fast-check";
import { rootOfBytes } from "../blobs/blob-hasher.ts";
import type { Coordinator } from "../serve.ts";
import { FakeWorker } from "../testing/fake-worker.ts";
import { tinyRun } from "../testing/tiny-run.ts";
import { startTiny, Wire, WireWorker } from "../testing/wire.ts";
import { decodeFrame } from "./control-socket.ts";
import { TokenBucket } from "./limits.ts";
import { parseRange } from "./range.ts";

function bearer(token: string): RequestInit {
  return { headers: { authorization: `Bearer ${token}` } };
}

async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { readonly code: string };
  return body.code;
}

async function goesOn(coordinator: Coordinator, worker: WireWorker): Promise<void> {
  const round = coordinator.state().roundsClosed;
  await worker.contribute(await worker.round(), 1);
  await worker.wire.next("closed");
  assert.equal(coordinator.state().roundsClosed, round + 1, "the run goes on");
}

test("frames that are no messages are refused with their code, and at last the connection", async (t) => {
  const { coordinator } = await startTiny(t);
  const ada = await WireWorker.join(coordinator, t);
  const wire = await Wire.open(coordinator, t);
  const frames = ["", "{", "null", "[]", '"x"', '{"type":"nothing"}', '{"type":"hello"}'];
  for (const frame of frames) {
    const from = wire.heard.length;
    wire.say(frame);
    assert.equal((await wire.next("reject", from)).code, "message/malformed", frame);
  }
  wire.socket.send(Buffer.from("{}"));
  while (wire.heard.length < 15) {
    const from = wire.heard.length;
    wire.say("[".repeat(1_000));
    await wire.next("reject", from);
  }
  wire.say("one too many");
  assert.equal((await wire.closed).code, 1008);
  assert.ok(defined(coordinator.status().rejects["message/malformed"], "it is counted") >= 15);
  await goesOn(coordinator, ada);
});

test("frames that are too large are refused: at the limit they pass, beyond twice they end it", async (t) => {
  const { coordinator } = await startTiny(t);
  const ada = await WireWorker.join(coordinator, t);
  const wire = await Wire.open(coordinator, t);
  wire.say(" ".repeat(MESSAGE_BYTES_MAX));
  assert.equal((await wire.next("reject")).code, "message/malformed", "read, and no JSON");
  wire.say(" ".repeat(MESSAGE_BYTES_MAX + 1));
  assert.equal((await wire.next("reject", 1)).code, "message/too-large");
  assert.equal((await wire.closed).code, 1009);
  const flood = await Wire.open(coordinator, t);
  flood.say(" ".repeat(3 * MESSAGE_BYTES_MAX));
  assert.equal((await flood.closed).code, 1009);
  assert.equal(coordinator.status().rejects["message/too-large"], 2);
  await goesOn(coordinator, ada);
});

test("a connection that sends too fast is told, and then let go", async (t) => {
  const limits = { messagesBurst: 10, messagesPerSecond: 0.001 };
  const { coordinator } = await startTiny(t, { limits });
  const wire = await Wire.open(coordinator, t);
  wire.say(new FakeWorker("fast").hello(coordinator.admissionToken));
  await wire.next("challenge");
  for (let i = 0; i < 40; i++) wire.say("{}");
  assert.equal((await wire.closed).code, 1008);
  assert.ok(
    wire.heard.some((message) => message.type === "reject" && message.code === "message/rate"),
  );
});

test("a connection that does not join in time is closed", async (t) => {
  const { coordinator } = await startTiny(t, { limits: { joinMs: 30 } });
  const wire = await Wire.open(coordinator, t);
  assert.equal((await wire.closed).code, 4004);
});

test("beyond the limit per address, connections are dropped; below it they work", async (t) => {
  const { coordinator } = await startTiny(t, { limits: { connectionsPerAddressMax: 2 } });
  const wires = [await Wire.open(coordinator, t), await Wire.open(coordinator, t)];
  await assert.rejects(Wire.open(coordinator, t));
  const [first] = wires;
  first?.socket.close();
  await first?.closed;
  // The server hears of the close a moment after us: each try is a round trip to it.
  for (;;) if (await Wire.open(coordinator, t).catch(() => null)) break;
});

test("random and mutated frames never break the connection's server", () => {
  const valid = Buffer.from(JSON.stringify(new FakeWorker("ada").hello("token")));
  const mutated = fc
    .tuple(fc.nat(valid.length - 1), fc.nat(255))
    .map(([at, value]) => Buffer.from(valid.with(at, value)));
  const any = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(mutated, any), fc.boolean(), (bytes, isBinary) => {
      const decoded = decodeFrame(bytes, isBinary);
      assert.ok(decoded.ok || decoded.error.code === "message/malformed");
    }),
    { numRuns: 500 },
  );
});

test("blobs: public ones are served whole and in parts, to those who may", async (t) => {
  const { coordinator, tiny } = await startTiny(t);
  const [file] = tiny.files;
  const bytes = Buffer.from(defined(file, "the run has a file"));
  const url = `${coordinator.runUrl}/blobs/${tiny.run.dataset.files[0]?.root}`;
  const asGuest = bearer(coordinator.admissionToken);
  const whole = await fetch(url, asGuest);
  assert.equal(whole.status, 200);
  assert.deepEqual(Buffer.from(await whole.arrayBuffer()), bytes);
  const head = await fetch(url, { ...asGuest, method: "HEAD" });
  assert.equal(head.headers.get("content-length"), String(bytes.length));
  const ranged = (range: string) =>
    fetch(url, { headers: { authorization: `Bearer ${coordinator.admissionToken}`, range } });
  const part = await ranged("bytes=10-19");
  assert.equal(part.status, 206);
  assert.equal(part.headers.get("content-range"), `bytes 10-19/${bytes.length}`);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(10, 20));
  assert.deepEqual(Buffer.from(await (await ranged("bytes=-5")).arrayBuffer()), bytes.subarray(-5));
  assert.equal((await ranged(`bytes=${bytes.length}-`)).status, 416);
  assert.equal((await fetch(url)).status, 401);
  assert.equal((await fetch(url, bearer("wrong"))).status, 401);
  const unknown = await fetch(`${coordinator.runUrl}/blobs/${"ab".repeat(32)}`, asGuest);
  assert.equal(await codeOf(unknown), "blob/unknown");
  const traversal = await fetch(`${coordinator.runUrl}/blobs/..%2f..%2fkeys.json`, asGuest);
  assert.equal(await codeOf(traversal), "blob/unknown");
});

test("uploads: refused for size, hash, quota and right; sealed until the round closes", async (t) => {
  const tiny = tinyRun({ rounds: { workersMin: 2 } });
  const { coordinator } = await startTiny(t, { tiny });
  const ada = await WireWorker.join(coordinator, t);
  const bob = await WireWorker.join(coordinator, t, new FakeWorker("bob"));
  const info = await ada.round();
  const { bytes, update } = ada.worker.update(tiny.run, info, 1);
  const asGuest = bearer(coordinator.admissionToken);
  const url = (root: string) => `${coordinator.runUrl}/blobs/${root}`;
  const body = Buffer.from(bytes);
  const guest = await fetch(url(update.updateRoot), { ...asGuest, method: "PUT", body });
  assert.equal(guest.status, 403);
  const large = await ada.put(new Uint8Array(bytes.length + 1), update.updateRoot);
  assert.equal(await codeOf(large), "blob/too-large");
  const other = await ada.put(new Uint8Array(bytes.length), update.updateRoot);
  assert.equal(await codeOf(other), "blob/hash");
  assert.equal((await ada.put(bytes, update.updateRoot)).status, 201);
  assert.equal((await ada.put(bytes, update.updateRoot)).status, 200);
  assert.equal(await codeOf(await fetch(url(update.updateRoot), asGuest)), "blob/sealed");
  for (let i = 0; i < 3; i++) {
    const junk = new Uint8Array(100).fill(i);
    assert.equal((await ada.put(junk, rootOfBytes(junk))).status, 201);
  }
  const fifth = new Uint8Array(100).fill(9);
  assert.equal(await codeOf(await ada.put(fifth, rootOfBytes(fifth))), "blob/quota");
  const committed = ada.wire.heard.length;
  ada.wire.say(ada.worker.commit(coordinator.runId, update));
  await ada.wire.next("receipt", committed);
  assert.equal(await codeOf(await fetch(url(update.updateRoot), asGuest)), "blob/sealed");
  await bob.contribute(await bob.round(), 2);
  await ada.wire.next("closed");
  assert.equal((await fetch(url(update.updateRoot), asGuest)).status, 200);
});

test("an upload that breaks off leaves nothing, and can be made again", async (t) => {
  const { coordinator, tiny } = await startTiny(t);
  const ada = await WireWorker.join(coordinator, t);
  const { bytes, update } = ada.worker.update(tiny.run, await ada.round(), 1);
  const { port } = new URL(coordinator.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.resume();
  await once(socket, "connect");
  socket.write(
    `PUT /runs/${coordinator.runId}/blobs/${update.updateRoot} HTTP/1.1\r\nHost: x\r\n` +
      `Authorization: Bearer ${ada.welcome.session}\r\nContent-Length: ${bytes.length}\r\n\r\n`,
  );
  socket.write(bytes.subarray(0, 50));
  socket.end();
  await once(socket, "close");
  await goesOn(coordinator, ada);
});

/** The same update with a NaN where a block's scale stands, wherever the codec puts it. */
function withScaleNaN(bytes: Uint8Array, run: FrozenRun): Uint8Array {
  for (let at = 0; at + 4 <= bytes.length; at++) {
    const changed = bytes.slice();
    new DataView(changed.buffer).setFloat32(at, Number.NaN, true);
    const checked = checkUpdate(changed, run.fragments, { codec: run.recipe.codec });
    if (!checked.ok && checked.error.code === "codec/scale") return changed;
  }
  throw new Error("the codec has no scale");
}

test("NaN in an update, a wrong round, a wrong signature and a replay are refused", async (t) => {
  const { coordinator, tiny } = await startTiny(t);
  const ada = await WireWorker.join(coordinator, t);
  const info = await ada.round();
  const refused = async (message: unknown): Promise<string> => {
    const from = ada.wire.heard.length;
    ada.wire.say(message);
    return (await ada.wire.next("reject", from)).code;
  };
  const made = ada.worker.update(tiny.run, info, 1);
  const nan = withScaleNaN(made.bytes, tiny.run);
  assert.equal((await ada.put(nan, rootOfBytes(nan))).status, 201);
  const poisoned = { ...made.update, updateRoot: rootOfBytes(nan) };
  assert.equal(
    await refused(ada.worker.commit(coordinator.runId, poisoned)),
    "commit/blob-content",
  );
  const early = { ...made.update, round: 1 };
  assert.equal(await refused(ada.worker.commit(coordinator.runId, early)), "commit/round-unknown");
  const forged = new FakeWorker("eve").commit(coordinator.runId, made.update);
  assert.equal(await refused(forged), "auth/signature");
  const elsewhere = ada.worker.commit("ab".repeat(32), made.update);
  assert.equal(await refused(elsewhere), "auth/signature", "signed for another run");
  const eve = await WireWorker.join(coordinator, t, new FakeWorker("eve"));
  const from = eve.wire.heard.length;
  eve.wire.say(ada.worker.commit(coordinator.runId, made.update));
  assert.equal((await eve.wire.next("reject", from)).code, "auth/signature", "replayed by another");
  await goesOn(coordinator, ada);
});

test("owner: pause, resume and stop need the owner's token", async (t) => {
  const { coordinator } = await startTiny(t);
  const post = (wish: string, token: string) =>
    fetch(`${coordinator.runUrl}/${wish}`, { ...bearer(token), method: "POST" });
  assert.equal((await post("pause", coordinator.admissionToken)).status, 403);
  assert.equal((await post("pause", coordinator.ownerToken)).status, 200);
  assert.equal(coordinator.state().phase, "paused");
  assert.equal((await post("resume", coordinator.ownerToken)).status, 200);
  assert.equal((await post("stop", coordinator.ownerToken)).status, 200);
  assert.equal(await coordinator.finished, "stopped");
});

test("status, log, rounds, the page and the package", async (t) => {
  const { coordinator } = await startTiny(t, { tarball: () => new Uint8Array([31, 139]) });
  const ada = await WireWorker.join(coordinator, t);
  await goesOn(coordinator, ada);
  const asGuest = bearer(coordinator.admissionToken);
  const runs = (await (await fetch(`${coordinator.url}/runs`)).json()) as { runId: string }[];
  assert.equal(runs[0]?.runId, coordinator.runId);
  const status = (await (await fetch(coordinator.runUrl)).json()) as { round: number };
  assert.equal(status.round, 1);
  const log = await (await fetch(`${coordinator.runUrl}/log?from=1&limit=2`, asGuest)).text();
  const rows = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { sequence: number });
  assert.deepEqual(
    rows.map(({ sequence }) => sequence),
    [1, 2],
  );
  assert.equal((await fetch(`${coordinator.runUrl}/log?from=-1`, asGuest)).status, 400);
  assert.equal((await fetch(`${coordinator.runUrl}/log`)).status, 401);
  const rounds = (await (await fetch(`${coordinator.runUrl}/rounds?from=0`, asGuest)).json()) as {
    round: number;
  }[];
  assert.deepEqual(
    rounds.map(({ round }) => round),
    [0],
  );
  const history = (await (await fetch(`${coordinator.runUrl}/history?from=0`)).json()) as {
    rows: number;
    columns: { round: number[]; closedRow: number[]; tokens: number[] };
  };
  assert.deepEqual(history.columns.round, [0]);
  assert.equal(history.columns.tokens[0], coordinator.state().tokensCommitted);
  const closedRow = history.columns.closedRow[0] ?? -1;
  assert(closedRow > 0 && closedRow < history.rows);
  const closing = await fetch(`${coordinator.runUrl}/log?from=${closedRow}&limit=1`, asGuest);
  assert.match(await closing.text(), /RoundClosed/);
  assert.equal((await fetch(`${coordinator.runUrl}/history?from=x`)).status, 400);
  assert.equal((await fetch(`${coordinator.runUrl}/checkpoints`)).status, 401);
  const stored = (await (await fetch(`${coordinator.runUrl}/checkpoints`, asGuest)).json()) as {
    rounds: number;
    root: string;
    byteLength: number;
  }[];
  const first = stored[0] ?? { rounds: -1, root: "", byteLength: 0 };
  assert.equal(first.rounds, 0);
  const weights = await fetch(`${coordinator.runUrl}/blobs/${first.root}`, asGuest);
  assert.equal((await weights.arrayBuffer()).byteLength, first.byteLength);
  const page = await (await fetch(coordinator.url)).text();
  assert.match(page, /manyhands\.tgz join/);
  assert.doesNotMatch(page, new RegExp(coordinator.admissionToken));
  const tarball = await fetch(`${coordinator.url}/manyhands.tgz`);
  assert.equal((await tarball.arrayBuffer()).byteLength, 2);
  assert.equal((await fetch(`${coordinator.url}/nothing`)).status, 404);
  assert.equal((await fetch(`${coordinator.url}/runs/${"ab".repeat(32)}`)).status, 404);
});

test("a socket to a run that is not here is answered, not left hanging", async (t) => {
  const { coordinator } = await startTiny(t);
  await assert.rejects(
    Wire.open({ runUrl: `${coordinator.url}/runs/${"ab".repeat(32)}` }, t),
    /404/,
  );
});

test("the range header: one range, or the whole blob", () => {
  const cases = [
    [undefined, null],
    ["bytes=0-0", { from: 0, to: 1 }],
    ["bytes=5-", { from: 5, to: 10 }],
    ["bytes=5-99", { from: 5, to: 10 }],
    ["bytes=-3", { from: 7, to: 10 }],
    ["bytes=-99", { from: 0, to: 10 }],
    ["bytes=0-1,3-4", null],
    ["bytes=7-3", null],
    ["lines=1-2", null],
  ] as const;
  for (const [header, expected] of cases) {
    assert.deepEqual(parseRange(header, 10), { ok: true, value: expected }, String(header));
  }
  for (const header of ["bytes=10-", "bytes=10-12", "bytes=-0"]) {
    assert.equal(parseRange(header, 10).ok, false, header);
  }
});

test("a token bucket lets a burst through, and then so many per second", () => {
  const bucket = new TokenBucket(3, 2, 0);
  const taken = (now: number) => bucket.take(now);
  assert.deepEqual([0, 0, 0, 0].map(taken), [true, true, true, false]);
  assert.deepEqual([499, 500, 501].map(taken), [false, true, false]);
  assert.deepEqual([9_000, 9_000, 9_000, 9_000].map(taken), [true, true, true, false]);
});
