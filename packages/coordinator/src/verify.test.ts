import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, type TestContext, test } from "node:test";
import { defined } from "@manyhands/base/assert";
import { compareText } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import { writeSafetensors } from "@manyhands/engine/checkpoint/safetensors";
import type { EventOf, RunEvent } from "@manyhands/protocol/events";
import { runPaths } from "./folder.ts";
import { openKeys } from "./keys.ts";
import { decodeRow } from "./log/log.ts";
import { SqliteLog } from "./log/sqlite-log.ts";
import { startCoordinator } from "./serve.ts";
import { type TinyRun, tinyRun } from "./testing/tiny-run.ts";
import { temporaryFolder, WireWorker } from "./testing/wire.ts";
import type { VerifyReport } from "./verify/report.ts";
import { verifyRun } from "./verify.ts";

const ROUNDS = 5;
const tiny: TinyRun = tinyRun({ tokens: 64 * ROUNDS });
const finishedFolder = mkdtempSync(join(tmpdir(), "manyhands-verify-"));

before(async (t) => {
  const coordinator = await startCoordinator({
    runFolder: finishedFolder,
    create: tiny,
    checkpointEvery: 2,
  });
  const ada = await WireWorker.join(coordinator, t as TestContext);
  await ada.contributeToEnd();
  await coordinator.finished;
  const weights = coordinator.weights();
  await coordinator.close();
  mkdirSync(join(finishedFolder, "export"));
  writeFileSync(join(finishedFolder, "export", "model.safetensors"), exported(weights));
});

after(() => rmSync(finishedFolder, { recursive: true, force: true }));

function exported(weights: Float32Array): Uint8Array {
  let offset = 0;
  const tensors = tiny.run.fragments.map(({ name, shape }) => {
    const length = shape.reduce((product, size) => product * size, 1);
    offset += length;
    return { name, shape, values: weights.slice(offset - length, offset) };
  });
  return writeSafetensors(tensors);
}

/** A copy of the finished run, to damage. */
function copy(t: TestContext): string {
  const folder = join(temporaryFolder(t), "run");
  cpSync(finishedFolder, folder, { recursive: true });
  return folder;
}

/** A copy without the digest of its log file: what only rows can tell. */
function copyWithoutDigest(t: TestContext): string {
  const folder = copy(t);
  rmSync(runPaths(folder).digest);
  return folder;
}

function flip(path: string, at: number, bit = 0): void {
  const bytes = readFileSync(path);
  bytes[at] = defined(bytes[at], `byte ${at} of ${path}`) ^ (1 << bit);
  writeFileSync(path, bytes);
}

function places(report: VerifyReport): string {
  return report.problems.map(({ place }) => place).join(", ");
}

function problemAt(report: VerifyReport, place: string): string {
  return report.problems
    .filter((found) => found.place === place)
    .map(({ problem }) => problem)
    .join("; ");
}

function blobPath(folder: string, root: string): string {
  return join(folder, "blobs", root.slice(0, 2), root.slice(2));
}

function eventsIn(folder: string): readonly RunEvent[] {
  const log = new SqliteLog(runPaths(folder).log, { runId: "", sign: () => "" });
  const events = log.rows(0, 1_000).map((row) => {
    const event = decodeRow(row);
    assert.ok(event.ok);
    return event.value;
  });
  log.close();
  return events;
}

function eventOf<T extends RunEvent["type"]>(folder: string, type: T, nth = 0): EventOf<T> {
  const found = eventsIn(folder).filter((event) => event.type === type)[nth];
  return defined(found, `the log has a ${type}`) as EventOf<T>;
}

test("a sound run has no problem, and every round is computed again", async () => {
  const seen = new Set<string>();
  const report = await verifyRun(finishedFolder, { onProgress: ({ doing }) => seen.add(doing) });
  assert.deepEqual(report.problems, []);
  assert.equal(report.phase, "finished");
  assert.equal(report.roundsRecomputed, ROUNDS);
  assert.equal(report.updates, ROUNDS);
  assert.deepEqual([...seen].sort(compareText), ["blobs", "export", "log"]);
});

test("verifying changes nothing in the folder", async (t) => {
  const folder = copy(t);
  const list = () => readdirSync(folder, { recursive: true }).map(String).sort(compareText);
  const before = list();
  const log = readFileSync(runPaths(folder).log);
  await verifyRun(folder);
  assert.deepEqual(list(), before);
  assert.deepEqual(readFileSync(runPaths(folder).log), log);
});

test("a flipped byte anywhere in the log file is found", async (t) => {
  const folder = copy(t);
  const { log } = runPaths(folder);
  const sound = readFileSync(log);
  const random = new Random(7);
  for (let i = 0; i < 25; i++) {
    const at = random.below(sound.length);
    flip(log, at, random.below(8));
    const report = await verifyRun(folder);
    assert.match(places(report), /log\.sqlite|row \d+/, `byte ${at}`);
    writeFileSync(log, sound);
  }
});

test("a flipped byte in any column of any row is named, also without the digest", async (t) => {
  const random = new Random(11);
  for (const column of ["event", "entry", "previousHead", "head", "signature"]) {
    const folder = copyWithoutDigest(t);
    const database = new DatabaseSync(runPaths(folder).log);
    const rows = database.prepare("SELECT sequence FROM log").all().length;
    const sequence = random.below(rows);
    const row = database
      .prepare(`SELECT ${column} AS text FROM log WHERE sequence = ?`)
      .get(sequence);
    const text = String(defined(row, "the row is there")["text"]);
    const at = random.below(text.length);
    const changed = String.fromCharCode(text.charCodeAt(at) ^ 1);
    const damaged = text.slice(0, at) + changed + text.slice(at + 1);
    database.prepare(`UPDATE log SET ${column} = ? WHERE sequence = ?`).run(damaged, sequence);
    database.close();
    const report = await verifyRun(folder);
    assert.ok(
      problemAt(report, `row ${sequence}`),
      `${column} of row ${sequence}: ${places(report)}`,
    );
  }
});

test("a flipped byte in any blob is named, and what can be checked still is", async (t) => {
  const random = new Random(13);
  const folder = copy(t);
  const roots = readdirSync(join(folder, "blobs"))
    .filter((name) => name.length === 2)
    .flatMap((name) => readdirSync(join(folder, "blobs", name)).map((rest) => name + rest));
  assert.ok(roots.length >= 2 * ROUNDS);
  for (const root of roots) {
    const path = blobPath(folder, root);
    const sound = readFileSync(path);
    flip(path, random.below(sound.length), random.below(8));
    const report = await verifyRun(folder);
    assert.match(problemAt(report, `blob ${root}`), /byte hash differs/);
    assert.equal(report.phase, "finished", "the log is replayed to its end");
    writeFileSync(path, sound);
  }
});

test("a missing update is named; the rounds after the next stored state are computed again", async (t) => {
  const folder = copy(t);
  const { updateRoot } = eventOf(folder, "UpdateCommitted", 3).update;
  rmSync(blobPath(folder, updateRoot));
  const report = await verifyRun(folder);
  assert.match(problemAt(report, `blob ${updateRoot}`), /is missing; row \d+ names it/);
  assert.equal(report.roundsRecomputed, ROUNDS - 1, "all but the round of that update");
});

/** A run whose coordinator changed one of its events, and signed the log anew. */
async function resigned(t: TestContext, at: number, changed: RunEvent): Promise<VerifyReport> {
  const folder = copyWithoutDigest(t);
  const paths = runPaths(folder);
  const events = eventsIn(folder).slice(0, at);
  rmSync(paths.log);
  const { runId } = await verifyRun(finishedFolder);
  const { sign } = openKeys(paths.keys);
  const log = new SqliteLog(paths.log, { runId: defined(runId, "the run has an id"), sign });
  log.append(log.head().head, [...events, changed]);
  log.putSideValue("checkpoints", checkpointsOf(finishedFolder));
  log.close();
  return verifyRun(folder);
}

test("a lie that the coordinator signed itself is found by computing again", async (t) => {
  const events = eventsIn(copy(t));
  const at = events.findIndex(({ type }) => type === "RoundClosed");
  const closed = events[at];
  assert.ok(closed?.type === "RoundClosed");
  const lie = "ab".repeat(32);
  for (const field of ["weightsRoot", "feedbackRoot", "stateRoot"] as const) {
    const report = await resigned(t, at, { ...closed, [field]: lie });
    const expected = new RegExp(`${field} is ${lie}, computed again it is`);
    assert.match(problemAt(report, `row ${at}`), expected);
  }
});

test("an update or a join that its worker did not sign is found", async (t) => {
  const events = eventsIn(copy(t));
  for (const type of ["UpdateCommitted", "WorkerJoined"] as const) {
    const at = events.findIndex((event) => event.type === type);
    const event = events[at];
    assert.ok(event?.type === "UpdateCommitted" || event?.type === "WorkerJoined");
    const report = await resigned(t, at, { ...event, signature: "ab".repeat(64) });
    assert.match(problemAt(report, `row ${at}`), /is not signed by/);
  }
});

function checkpointsOf(folder: string): { readonly [key: string]: never } {
  const database = new DatabaseSync(runPaths(folder).log, { readOnly: true });
  const row = database.prepare("SELECT value FROM side WHERE key = 'checkpoints'").get();
  database.close();
  return JSON.parse(String(row?.["value"]));
}

test("a changed export is named by its tensor", async (t) => {
  const folder = copy(t);
  const path = runPaths(folder).exportedModel;
  flip(path, statSync(path).size - 2);
  const report = await verifyRun(folder);
  assert.match(problemAt(report, "export/model.safetensors"), /differs from the final weights/);
});

test("a file that is no database, and a folder that is no run, are findings, not crashes", async (t) => {
  const folder = copy(t);
  writeFileSync(runPaths(folder).log, "no database at all");
  const broken = await verifyRun(folder);
  assert.match(problemAt(broken, "log.sqlite"), /not a database/);
  const empty = await verifyRun(join(temporaryFolder(t), "nothing"));
  assert.match(places(empty), /log\.sqlite/);
  assert.equal(existsSync(join(folder, "nothing")), false);
});
