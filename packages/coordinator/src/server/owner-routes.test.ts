import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { err, ok } from "@manyhands/base/result";
import { startTiny, temporaryFolder } from "../testing/wire.ts";
import type { NewRun, RunMaker } from "./owner-routes.ts";

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test("the export: listed and served to the owner, and no path leads out of its folder", async (t) => {
  const runFolder = temporaryFolder(t);
  const { coordinator } = await startTiny(t, { runFolder });
  const asOwner = bearer(coordinator.ownerToken);
  const url = `${coordinator.runUrl}/export`;
  assert.deepEqual(await (await fetch(url, asOwner)).json(), []);
  mkdirSync(join(runFolder, "export"));
  writeFileSync(join(runFolder, "export", "config.json"), "{}");
  assert.deepEqual(await (await fetch(url, asOwner)).json(), [
    { name: "config.json", byteLength: 2 },
  ]);
  assert.equal(await (await fetch(`${url}/config.json`, asOwner)).text(), "{}");
  assert.equal((await fetch(url, bearer(coordinator.admissionToken))).status, 403);
  assert.equal((await fetch(`${url}/config.json`)).status, 401);
  for (const name of ["..%2Fkeys.json", "%2e%2e%2fkeys.json", "keys.json", "."]) {
    const answer = await fetch(`${url}/${name}`, asOwner);
    assert.notEqual(answer.status, 200, name);
  }
});

const CHOICES: NewRun = { name: "poems", template: "tiny", tokens: 10_000, fileName: "poems.txt" };

function create(url: string, token: string, choices: unknown = CHOICES): Promise<Response> {
  const query = encodeURIComponent(JSON.stringify(choices));
  const init = { ...bearer(token), method: "POST", body: "Shall I compare thee" };
  return fetch(`${url}/runs?choices=${query}`, init);
}

test("a new run: made by the host, for who has its token, of choices that hold", async (t) => {
  const asked: [NewRun, string][] = [];
  const maker: RunMaker = {
    token: "the-host",
    make: async (choices, data) => {
      asked.push([choices, new TextDecoder().decode(data)]);
      if (choices.name === "bad") return err("the text is too short");
      return ok({ runId: "ab".repeat(32), joinUrl: "http://here/runs/x#y", ownerToken: "z" });
    },
  };
  const { coordinator } = await startTiny(t, { maker });
  const { url } = coordinator;
  assert.equal((await create(url, coordinator.ownerToken)).status, 401);
  assert.equal((await create(url, "the-host", { ...CHOICES, template: "huge" })).status, 400);
  assert.equal(asked.length, 0);
  const made = await create(url, "the-host");
  assert.equal(made.status, 201);
  assert.equal(((await made.json()) as { joinUrl: string }).joinUrl, "http://here/runs/x#y");
  assert.deepEqual(asked[0], [CHOICES, "Shall I compare thee"]);
  const bad = await create(url, "the-host", { ...CHOICES, name: "bad" });
  assert.equal(bad.status, 422);
  assert.match(await bad.text(), /too short/);
});

test("a host that makes no runs says so", async (t) => {
  const { coordinator } = await startTiny(t);
  assert.equal((await create(coordinator.url, coordinator.ownerToken)).status, 404);
});
