// The host: feeds the reducer, carries out effects, lets go of everything at the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "@manyhands/base/hash";
import { runIdOf } from "@manyhands/protocol/run-config";
import { hashOf, joinOf, testRun, workerIdFor } from "@manyhands/protocol/testing/fixtures";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import { AUTHORITY, SIGNATURE, verifyAuthority } from "../testing/core-driver.ts";
import {
  AddingCompute,
  HandTimers,
  MemoryApi,
  MemoryFiles,
  MemoryLink,
} from "../testing/memory-ports.ts";
import { WorkerHost } from "./host.ts";

const RUN = testRun();

function hostOf() {
  const link = new MemoryLink();
  const timers = new HandTimers();
  const compute = new AddingCompute();
  const api = new MemoryApi();
  const ports = { link, timers, compute, api, files: new MemoryFiles(), hash: sha256 };
  const { signingKey, exchangeKey } = joinOf("anna");
  const workerId = workerIdFor("anna");
  const phases: string[] = [];
  const host = new WorkerHost({
    config: {
      runId: runIdOf(RUN),
      token: "let me in",
      name: "anna",
      identity: { workerId, signingKey, exchangeKey, sign: () => SIGNATURE },
      verify: verifyAuthority,
      numerics: "reference",
      seed: 1,
    },
    ports,
    events: { onStatus: ({ phase }) => phases.push(phase) },
  });
  return { host, link, timers, compute, api, workerId, phases };
}

function tell(link: MemoryLink, message: object): void {
  link.opened.at(-1)?.events.onText(JSON.stringify(message));
}

function greet({ link, workerId }: ReturnType<typeof hostOf>): void {
  const challenge = hashOf("challenge");
  const version = { protocolVersion: PROTOCOL_VERSION, kernelSet: KERNEL_SET };
  link.opened.at(-1)?.events.onOpen();
  tell(link, { type: "challenge", ...version, runId: runIdOf(RUN), challenge });
  tell(link, {
    type: "welcome",
    workerId,
    session: hashOf("session"),
    run: RUN,
    authority: [AUTHORITY],
    checkpoint: { rounds: 0, root: hashOf("c"), byteLength: 16, stateRoot: hashOf("s") },
    closed: [],
    current: null,
    paused: false,
  });
}

test("messages go out as JSON, the session reaches the blob port", () => {
  const all = hostOf();
  all.host.start();
  greet(all);
  const types = all.link.opened[0]?.sent.map((message) => Reflect.get(message as object, "type"));
  assert.deepEqual(types, ["hello", "join"]);
  assert.equal(all.api.session, hashOf("session"));
});

for (const text of ["{", '{"type":"welcome"}', '{"type":"dance"}', "7"]) {
  test(`the frame ${text} is no message: the connection is dropped, and tried again`, () => {
    const { host, link, timers } = hostOf();
    host.start();
    link.opened[0]?.events.onOpen();
    link.opened[0]?.events.onText(text);
    assert.equal(link.opened[0]?.state, "terminated");
    assert.match(host.status().phase, /what is not a message/);
    timers.fireNext();
    assert.equal(link.opened.length, 2);
  });
}

test("what an old connection still says is not heard", () => {
  const { host, link, timers } = hostOf();
  host.start();
  const old = link.opened[0]!;
  old.events.onClose({ why: "cut", code: 1006, httpStatus: null });
  timers.fireNext();
  old.events.onOpen();
  old.events.onClose({ why: "cut again", code: 1006, httpStatus: null });
  assert.deepEqual(old.sent, []);
  assert.equal(host.status().reconnectAttempt, 1);
});

test("at the end the link is closed, timers are gone and compute is let go", async () => {
  const all = hostOf();
  all.host.start();
  greet(all);
  all.host.stop("force");
  const end = await all.host.ended;
  assert.equal(end.reason, "forced");
  assert.equal(all.link.opened[0]?.state, "closed");
  assert.equal(all.timers.armed, 0);
  assert.equal(all.compute.disposed, true);
  assert.equal(all.phases.at(-1), "Stopped at once, as asked.");
});

test("a bug in a port is not swallowed: ended rejects, and nothing goes on", async () => {
  const all = hostOf();
  all.compute.prepare = async () => {
    throw new TypeError("undefined is not a function");
  };
  const [dataset] = RUN.dataset.files;
  all.api.blobs.set(dataset!.root, new Uint8Array(1));
  all.host.start();
  greet(all);
  await assert.rejects(all.host.ended, TypeError);
  assert.equal(all.timers.armed, 0);
});

test("compute that cannot be let go is told: whoever waits for the end does not wait for ever", async () => {
  const all = hostOf();
  all.compute.dispose = async () => {
    throw new TypeError("no such session");
  };
  all.host.start();
  greet(all);
  all.host.stop("force");
  await assert.rejects(all.host.ended, /no such session/);
});

test("a failed job reaches the reducer: without data there is no training", async () => {
  const all = hostOf();
  all.host.start();
  greet(all);
  const end = await all.host.ended;
  assert.equal(end.reason, "compute-failed");
  assert.match(end.sentence, /no blob/);
});
