import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogRow } from "@manyhands/coordinator/log/log";
import { FEW_HANDS } from "../testing/hands.ts";
import { PretendRun } from "../testing/pretend-run.ts";
import { LogCheck, type LogFindings } from "./check-log.ts";
import { claimVerifier } from "./signatures.ts";

const run = new PretendRun({ hands: FEW_HANDS.slice(0, 3), rounds: 6, end: "training" });
const verify = await claimVerifier();

async function check(rows: readonly LogRow[], pageRows = 10): Promise<LogFindings> {
  const log = new LogCheck(run.runId, verify);
  for (let at = 0; at < rows.length && log.findings.damage === null; at += pageRows) {
    await log.take(rows.slice(at, at + pageRows));
  }
  return log.findings;
}

/** The log with one row changed. */
function with_(sequence: number, change: (row: LogRow) => Partial<LogRow>): LogRow[] {
  return run.rows.map((row) => (row.sequence === sequence ? { ...row, ...change(row) } : row));
}

function rowOf(type: string): LogRow {
  const row = run.rows.findLast(({ event }) => event.includes(`"type":"${type}"`));
  assert(row, type);
  return row;
}

test("a sound log: every row, round and signature counted, the roots those of the state", async () => {
  const findings = await check(run.rows);
  assert.equal(findings.damage, null);
  assert.equal(findings.rows, run.rows.length);
  assert.equal(findings.rounds, 6);
  assert.equal(findings.stateRoot, run.state.stateRoot);
  assert.equal(findings.head, run.rows.at(-1)?.head);
  const signedByWorkers = run.rows.filter(({ event }) =>
    /WorkerJoined|UpdateCommitted/.test(event),
  );
  assert.equal(findings.signatures, run.rows.length + signedByWorkers.length);
});

test("whatever is changed in a row, that row is named", async () => {
  const zeros = "00".repeat(32);
  const update = rowOf("UpdateCommitted");
  const changes: readonly [string, LogRow, (row: LogRow) => Partial<LogRow>][] = [
    [
      "the event's text",
      update,
      ({ event }) => ({ event: event.replace(/"tokens":\d/, '"tokens":9') }),
    ],
    ["the event's hash", update, () => ({ entry: zeros })],
    ["the head before", update, () => ({ previousHead: zeros })],
    ["the head", update, () => ({ head: zeros })],
    ["the number", update, ({ sequence }) => ({ sequence: sequence + 1 })],
    ["the signature", update, ({ signature }) => ({ signature: `${zeros}${signature.slice(64)}` })],
    ["a signature that is none", rowOf("RoundClosed"), () => ({ signature: "none" })],
    ["text that is no event", rowOf("RoundOpened"), () => ({ event: "{}" })],
    ["spaces in the text", rowOf("RoundOpened"), ({ event }) => ({ event: ` ${event}` })],
  ];
  for (const [name, row, change] of changes) {
    const { damage, rows } = await check(with_(row.sequence, change));
    assert.equal(damage?.sequence, row.sequence, name);
    assert(rows <= run.rows.length, name);
  }
});

test("a row that is left out, or of another run, is named", async () => {
  const without = run.rows.filter(({ sequence }) => sequence !== 9);
  assert.equal((await check(without)).damage?.sequence, 9);
  const other = new PretendRun({ hands: FEW_HANDS.slice(0, 1), rounds: 1, name: "other" });
  assert.match((await check(other.rows)).damage?.problem ?? "", /the log of run/);
});

test("a coordinator that signs nonsense is caught by the protocol, not by a signature", async () => {
  const forged = new PretendRun({
    hands: FEW_HANDS.slice(0, 2),
    rounds: 2,
    forge: (event) =>
      event.type === "RoundClosed" ? { ...event, stateRoot: "ab".repeat(32) } : event,
  });
  const log = new LogCheck(forged.runId, verify);
  await log.take(forged.rows);
  assert.match(log.findings.damage?.problem ?? "", /state root/);
});

test("pages of any size give the same findings", async () => {
  assert.deepEqual(await check(run.rows, 1), await check(run.rows, 1_000));
});
