import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ListenError } from "@manyhands/coordinator/errors";
import { DEFAULT_PORT } from "../commands/options.ts";
import { listenAndStart } from "./listen.ts";
import { joinUrls } from "./messages.ts";
import { chooseFolder, findRunFolder } from "./run-folder.ts";
import { decodeWorkerLine } from "./worker-lines.ts";

function runFolder(folder: string, ...files: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  for (const file of files) writeFileSync(join(folder, file), "");
}

test("a run continues in its folder; a finished one is left alone, or trained again beside it", (context) => {
  const base = mkdtempSync(join(tmpdir(), "manyhands-folder-"));
  context.after(() => rmSync(base, { recursive: true }));
  const out = join(base, "x");
  const choose = (again: boolean) => {
    const { folder, found, finishedBefore } = chooseFolder("ab", { out, again });
    return [folder, found, finishedBefore.length];
  };
  assert.deepEqual(choose(true), [out, "nothing", 0]);
  runFolder(out, "log.sqlite");
  assert.deepEqual(choose(true), [out, "unfinished", 0]);
  runFolder(out, "summary.json");
  assert.deepEqual(choose(false), [out, "finished", 0]);
  assert.deepEqual(choose(true), [`${out}-2`, "nothing", 1]);
  runFolder(`${out}-2`, "log.sqlite", "summary.json");
  runFolder(`${out}-3`, "log.sqlite");
  assert.deepEqual(choose(true), [`${out}-3`, "unfinished", 2]);
  assert.equal(findRunFolder(out), out);
  assert.throws(() => findRunFolder(join(base, "nothing")), /there is no run in/);
});

test("by default a run lives in runs/<its id>", () => {
  assert.equal(
    chooseFolder("ab".repeat(32), { again: false }).folder,
    join("runs", "ab".repeat(32)),
  );
});

test("the usual port, another one if it is taken, and only the one that was asked for", async () => {
  const taken = new ListenError("127.0.0.1", DEFAULT_PORT, new Error("in use"));
  const start = async (port: number) => {
    if (port === DEFAULT_PORT) throw taken;
    return port;
  };
  assert.equal(await listenAndStart(undefined, start), 0);
  assert.equal(await listenAndStart(undefined, async (port) => port), DEFAULT_PORT);
  await assert.rejects(listenAndStart(DEFAULT_PORT, start), taken);
});

test("a coordinator that listens everywhere is joined at this machine's addresses", () => {
  const url = "http://0.0.0.0:7433/runs/ab#token";
  assert.deepEqual(joinUrls(url, "0.0.0.0", ["192.168.1.5", "10.0.0.2"]), [
    "http://192.168.1.5:7433/runs/ab#token",
    "http://10.0.0.2:7433/runs/ab#token",
  ]);
  assert.deepEqual(joinUrls(url, "127.0.0.1", ["192.168.1.5"]), [url]);
});

test("a worker's lines: status, notices and end, and nothing else", () => {
  const end = { type: "end", reason: "finished", sentence: "The run is finished.", code: null };
  assert.deepEqual(decodeWorkerLine(JSON.stringify(end)), end);
  const notice = { type: "notice", sentence: "Memory: training needs about 200 MB." };
  assert.deepEqual(decodeWorkerLine(JSON.stringify(notice)), notice);
  for (const line of ["", "hello", "{}", '{"type":"end"}', "[]", "null"]) {
    assert.equal(decodeWorkerLine(line), undefined, line);
  }
});
