// What every log must do, whatever keeps it. Run by log.test.ts for each implementation.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { RunEvent } from "@manyhands/protocol/events";
import { LogConflictError } from "../errors.ts";
import {
  EMPTY_LOG,
  entryOf,
  headOf,
  type Log,
  type LogRow,
  type RowRules,
  rowProblems,
} from "./log.ts";

export type LogUnderTest = {
  readonly log: Log;
  readonly rules: RowRules;
  /** The same log, opened again after a close; null for one that ends with its object. */
  readonly reopen: (() => Log) | null;
};

const paused = (tick: number): RunEvent => ({ type: "RunPaused", tick });

type Make = (t: TestContext) => LogUnderTest;

export function logContract(name: string, make: Make): void {
  appends(name, make);
  reads(name, make);
}

function appends(name: string, make: Make): void {
  test(`${name}: begins empty`, (t) => {
    const { log } = make(t);
    assert.deepEqual(log.head(), EMPTY_LOG);
    assert.deepEqual(log.rows(0, 10), []);
  });

  test(`${name}: rows hang together, and carry the event's canonical text`, (t) => {
    const { log, rules } = make(t);
    const first = log.append(EMPTY_LOG.head, [paused(1), paused(2)]);
    const second = log.append(log.head().head, [paused(3)]);
    const rows = [...first, ...second];
    assert.deepEqual(log.rows(0, 10), rows);
    assert.deepEqual(
      rows.map(({ sequence, event }) => [sequence, event]),
      [1, 2, 3].map((tick, index) => [index, `{"tick":${tick},"type":"RunPaused"}`]),
    );
    let at = EMPTY_LOG;
    for (const row of rows) {
      assert.deepEqual(rowProblems(row, at, rules), []);
      assert.equal(row.head, headOf(at.head, entryOf(row.event)));
      at = { length: row.sequence + 1, head: row.head };
    }
    assert.deepEqual(log.head(), at);
  });

  test(`${name}: refuses an append onto another head, and takes nothing of it`, (t) => {
    const { log } = make(t);
    log.append(EMPTY_LOG.head, [paused(1)]);
    assert.throws(() => log.append(EMPTY_LOG.head, [paused(2)]), LogConflictError);
    assert.equal(log.rows(0, 10).length, 1);
    log.append(log.head().head, [paused(2)]);
    assert.equal(log.head().length, 2);
  });
}

function reads(name: string, make: Make): void {
  test(`${name}: reads from any row on, at most so many`, (t) => {
    const { log } = make(t);
    log.append(EMPTY_LOG.head, [1, 2, 3, 4, 5].map(paused));
    const sequences = (rows: readonly LogRow[]) => rows.map(({ sequence }) => sequence);
    assert.deepEqual(sequences(log.rows(1, 3)), [1, 2, 3]);
    assert.deepEqual(sequences(log.rows(4, 3)), [4]);
    assert.deepEqual(sequences(log.rows(5, 3)), []);
    assert.deepEqual(sequences(log.rows(0, 0)), []);
  });

  test(`${name}: keeps side values by their key`, (t) => {
    const { log } = make(t);
    assert.equal(log.sideValue("a"), null);
    log.putSideValue("a", { b: [1, 2] });
    log.putSideValue("a", { b: [3] });
    log.putSideValue("c", 7);
    assert.deepEqual(log.sideValue("a"), { b: [3] });
    assert.deepEqual(log.sideValue("c"), 7);
    assert.deepEqual(log.head(), EMPTY_LOG, "no part of the chain");
  });

  test(`${name}: every changed field of a row is a problem`, (t) => {
    const { log, rules } = make(t);
    log.append(EMPTY_LOG.head, [paused(1), paused(2)]);
    const [first, row] = log.rows(0, 2);
    assert.ok(first && row);
    const expected = { length: 1, head: first.head };
    assert.deepEqual(rowProblems(row, expected, rules), []);
    const other = "ab".repeat(32);
    const changes: readonly Partial<LogRow>[] = [
      { sequence: 2 },
      { event: row.event.replace("2", "3") },
      { entry: other },
      { previousHead: other },
      { head: other },
      { signature: `${other}${other}` },
      { signature: "none" },
      { head: "none" },
    ];
    for (const change of changes) {
      const problems = rowProblems({ ...row, ...change }, expected, rules);
      assert.notDeepEqual(problems, [], JSON.stringify(change));
    }
  });

  test(`${name}: is all there after it was opened again`, (t) => {
    const { log, reopen } = make(t);
    if (!reopen) return;
    log.append(EMPTY_LOG.head, [paused(1), paused(2)]);
    log.putSideValue("a", 1);
    const rows = log.rows(0, 10);
    log.close();
    const again = reopen();
    assert.deepEqual(again.rows(0, 10), rows);
    assert.equal(again.sideValue("a"), 1);
    again.append(again.head().head, [paused(3)]);
    assert.equal(again.head().length, 3);
    again.close();
  });
}
