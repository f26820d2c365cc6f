// An attestor's memory: the same again is signed again; another past, or two settlements of one
// number, never.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AttestMemory, type Signed } from "./attest-memory.ts";

const HEADS = ["a0", "a1", "a2", "a3", "a4"].map((byte) => byte.repeat(32));
const headAt = (rows: number): string | null => HEADS[rows - 1] ?? null;

function signed(sequence: number, rows: number, changes: Partial<Signed> = {}): Signed {
  const evidence = `0${sequence}`.repeat(32);
  const runId = "ab".repeat(32);
  const place = { runId, chainId: 1, onChainRunId: 5 };
  return { ...place, sequence, rows, head: headAt(rows) ?? "", evidence, ...changes };
}

function fileIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-attest-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "key.attested.json");
}

test("the same again, and what follows, is signed; it is remembered on the disk", (t) => {
  const path = fileIn(t);
  for (const next of [signed(1, 2), signed(1, 2), signed(2, 4), signed(7, 5)]) {
    const memory = AttestMemory.open(path);
    assert.equal(memory.problem(next, headAt), null);
    memory.remember(next);
  }
  assert.equal(JSON.parse(readFileSync(path, "utf8")).signed.length, 1, "the last one of the run");
});

test("a log that was rewritten or cut behind what was signed is refused, at any place", (t) => {
  const path = fileIn(t);
  AttestMemory.open(path).remember(signed(1, 3));
  const memory = AttestMemory.open(path);
  const rewritten = (rows: number): string | null => (rows < 3 ? headAt(rows) : "ee".repeat(32));
  const elsewhere = signed(1, 4, { onChainRunId: 6, chainId: 2 });
  for (const next of [signed(2, 4), elsewhere]) {
    assert.match(memory.problem(next, rewritten) ?? "", /rewritten behind row 2, .* settlement 1/);
    assert.match(memory.problem(next, () => null) ?? "", /the log ends before row 2/);
    assert.equal(memory.problem(next, headAt), null);
  }
  const other = signed(1, 1, { runId: "cd".repeat(32), head: "99".repeat(32) });
  assert.equal(
    memory.problem(other, () => "99".repeat(32)),
    null,
    "another run's log",
  );
});

test("two settlements of one number, and older ones, are refused", (t) => {
  const path = fileIn(t);
  AttestMemory.open(path).remember(signed(2, 3));
  const memory = AttestMemory.open(path);
  const other = signed(2, 3, { evidence: "ff".repeat(32) });
  assert.match(memory.problem(other, headAt) ?? "", /another settlement 2 was signed here/);
  assert.match(memory.problem(signed(1, 2), headAt) ?? "", /number 2 was signed here already/);
});

test("refused: a file that is something else, and one that cannot be written", (t) => {
  const path = fileIn(t);
  writeFileSync(path, "{}");
  assert.throws(() => AttestMemory.open(path), /does not hold what an attestor has signed/);
  const nowhere = AttestMemory.open(join(path, "no", "folder"));
  assert.throws(() => nowhere.remember(signed(1, 1)), /cannot be written/);
});
