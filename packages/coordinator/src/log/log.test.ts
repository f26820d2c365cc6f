import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CorruptLogError } from "../errors.ts";
import { openKeys, verifySignature } from "../keys.ts";
import { temporaryFolder } from "../testing/wire.ts";
import { logContract } from "./log.contract.ts";
import { EMPTY_LOG } from "./log.ts";
import { MemoryLog } from "./memory-log.ts";
import { SqliteLog } from "./sqlite-log.ts";

const runId = "12".repeat(32);

logContract("memory", (t) => {
  const keys = openKeys(join(temporaryFolder(t), "keys.json"));
  const rules = { runId, authority: [keys.authority], verify: verifySignature };
  return { log: new MemoryLog({ runId, sign: keys.sign }), rules, reopen: null };
});

logContract("sqlite", (t) => {
  const folder = temporaryFolder(t);
  const keys = openKeys(join(folder, "keys.json"));
  const rules = { runId, authority: [keys.authority], verify: verifySignature };
  const open = () => new SqliteLog(join(folder, "log.sqlite"), { runId, sign: keys.sign });
  return { log: open(), rules, reopen: open };
});

test("a process that is killed right after an append has lost nothing", (t) => {
  const path = join(temporaryFolder(t), "log.sqlite");
  const module = new URL("./sqlite-log.ts", import.meta.url).href;
  const script = `
    const { SqliteLog } = await import(${JSON.stringify(module)});
    const log = new SqliteLog(${JSON.stringify(path)}, { runId: "${runId}", sign: () => "" });
    log.append(log.head().head, [{ type: "RunPaused", tick: 1 }, { type: "RunPaused", tick: 2 }]);
    process.kill(process.pid, "SIGKILL");
  `;
  assert.throws(
    () => execFileSync(process.execPath, ["--input-type=module", "-e", script]),
    (error: unknown) => error instanceof Error && "signal" in error && error.signal === "SIGKILL",
  );
  const log = new SqliteLog(path, { runId, sign: () => "" });
  assert.equal(log.head().length, 2);
  log.close();
});

test("a file that is no sound database is named, at its opening or at its reading", (t) => {
  const path = join(temporaryFolder(t), "log.sqlite");
  writeFileSync(path, "this is not a database, and long enough to be looked at as one");
  assert.throws(() => new SqliteLog(path, { runId, sign: () => "" }), CorruptLogError);
});

test("a side value whose bytes were changed is named", (t) => {
  const path = join(temporaryFolder(t), "log.sqlite");
  const log = new SqliteLog(path, { runId, sign: () => "" });
  log.append(EMPTY_LOG.head, [{ type: "RunPaused", tick: 1 }]);
  log.putSideValue("traffic", "many bytes here");
  log.close();
  const bytes = readFileSync(path);
  bytes[bytes.indexOf("many bytes here")] = 0x4d;
  writeFileSync(path, bytes);
  const damaged = new SqliteLog(path, { runId, sign: () => "" });
  assert.throws(
    () => damaged.sideValue("traffic"),
    (error: unknown) => error instanceof CorruptLogError && error.message.includes("traffic"),
  );
  damaged.close();
});
