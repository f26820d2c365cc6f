import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ok } from "@manyhands/base/result";
import { freezeRun } from "@manyhands/protocol/run-config";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import type { ScoreDesk } from "../score-desk.ts";
import type { SettlementDesk } from "../settlement-desk.ts";
import { type TinyRun, tinyRun } from "../testing/tiny-run.ts";
import { startTiny } from "../testing/wire.ts";

function paidRun(): TinyRun {
  const tiny = tinyRun();
  return { ...tiny, run: freezeRun({ ...tiny.run, pay: TEST_PAY }) };
}

function deskWith(scores: ScoreDesk | undefined): SettlementDesk {
  return {
    list: () => [],
    bundle: () => null,
    sign: async () => err("no"),
    standing: async () => err("no chain"),
    account: async () => err("no chain"),
    settle: async () => err("no chain"),
    adopt: async () => err("no chain"),
    scores,
  };
}

const ENTRY = { window: 0, lastRound: 9, phase: "commit", committed: [], revealed: [] } as const;

test("windows are listed and told; what validators say goes to the desk, and its answer back", async (t) => {
  const said: unknown[] = [];
  const scores: ScoreDesk = {
    list: () => [ENTRY],
    transcript: (window) => (window === 0 ? '{"window":0}' : null),
    commit: (window, what) => {
      said.push([window, what]);
      return window === 0 ? ok(null) : err({ code: "score/window", message: "not ended yet" });
    },
    reveal: () => err({ code: "score/early-reveal", message: "others may still commit" }),
  };
  const { coordinator } = await startTiny(t, { tiny: paidRun(), settlements: deskWith(scores) });
  const ask = (path: string, body?: string, token = coordinator.admissionToken) =>
    fetch(`${coordinator.runUrl}/scores${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body }),
    });
  assert.deepEqual(await (await ask("")).json(), [ENTRY]);
  assert.equal((await ask("", undefined, "nobody")).status, 401);
  assert.deepEqual(await (await ask("/0")).json(), { window: 0 });
  for (const window of ["1", "-1", "1e3", "x", "99999999999999999999"]) {
    assert.equal((await ask(`/${window}`)).status, 404, window);
  }
  assert.equal((await ask("/0/commits", '{"a":1}')).status, 201);
  const refused = await ask("/7/commits", "no json");
  assert.deepEqual(
    [refused.status, await refused.json()],
    [422, { code: "score/window", message: "not ended yet" }],
  );
  assert.equal((await ask("/0/reveals", "{}")).status, 422);
  assert.equal((await ask("/0/reveals", " ".repeat(600_000))).status, 413);
  assert.deepEqual(said, [
    [0, { a: 1 }],
    [7, null],
  ]);
});

test("a run whose accepted tokens count has no windows", async (t) => {
  const { coordinator } = await startTiny(t, { tiny: paidRun(), settlements: deskWith(undefined) });
  const headers = { authorization: `Bearer ${coordinator.admissionToken}` };
  const at = (path: string, method = "GET") =>
    fetch(`${coordinator.runUrl}/scores${path}`, { method, headers });
  assert.deepEqual(await (await at("")).json(), []);
  assert.equal((await at("/0")).status, 404);
  assert.equal((await at("/0/commits", "POST")).status, 404);
});
