import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { scoresDecoder } from "@manyhands/chain/scores/messages";
import { SCORE_MAX } from "@manyhands/protocol/limits";
import { readScores, scoresFor } from "./scores-file.ts";

const [ADA, BEN, EVE] = ["1a", "2b", "3c"].map((byte) => byte.repeat(32)) as [
  string,
  string,
  string,
];

test("a file of scores is read, and what is none is refused with what was expected", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-scores-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "scores.json");
  const written = (content: string): Promise<unknown> => {
    writeFileSync(path, content);
    return readScores(path);
  };
  const good = await written(JSON.stringify({ [ADA]: 7, [BEN]: 0 }));
  assert.deepEqual(
    good,
    new Map([
      [ADA, 7],
      [BEN, 0],
    ]),
  );
  for (const bad of ["", "[]", "7", "null", "{"]) {
    await assert.rejects(written(bad), /holds no scores/);
  }
  await assert.rejects(written('{"ada": 1}'), /worker.*found "ada"/);
  for (const score of ["-1", "0.5", '"7"', "1e99", `${SCORE_MAX + 1}`, "null"]) {
    await assert.rejects(written(`{"${ADA}": ${score}}`), /1a1a.*whole number|1a1a.*expected/);
  }
  await assert.rejects(readScores(join(folder, "nothing")), /cannot be read/);
});

test("only workers of the window are scored, ascending, without zeros", () => {
  const accepted = new Map([
    [BEN, 20],
    [ADA, 10],
  ]);
  const given = new Map([
    [EVE, 5],
    [ADA, 3],
    [BEN, 0],
  ]);
  assert.deepEqual(scoresFor(accepted, given), [{ worker: ADA, score: 3 }]);
  assert.deepEqual(scoresFor(accepted, null), [
    { worker: ADA, score: 10 },
    { worker: BEN, score: 20 },
  ]);
  assert.deepEqual(scoresFor(new Map(), given), []);
});

test("more tokens than a score can say are scaled, and still have their form", () => {
  const scores = scoresFor(
    new Map([
      [ADA, 2 ** 50],
      [BEN, 2 ** 49],
      [EVE, 1],
    ]),
    null,
  );
  assert.deepEqual(
    scores.map(({ score }) => score),
    [SCORE_MAX, SCORE_MAX / 2],
  );
  assert.ok(scoresDecoder(scores).ok);
});
