import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runCommand } from "./main.ts";
import { PLAIN } from "./terminal/style.ts";
import { VERSION } from "./version.ts";

const BINARY = fileURLToPath(new URL("../bin/manyhands.mjs", import.meta.url));

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** The command line in this process, with its own streams. */
async function run(...words: readonly string[]): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  const code = await runCommand(words, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: {},
    paint: PLAIN,
    errorPaint: PLAIN,
  });
  return { code, stdout, stderr };
}

const COMMANDS = [
  "demo",
  "run",
  "up",
  "join",
  "status",
  "verify",
  "export",
  "sample",
  "fetch",
] as const;

test("every command has help with an example and the exit codes", async () => {
  for (const command of COMMANDS) {
    const { code, stdout } = await run(command, "--help");
    assert.equal(code, 0, command);
    assert.match(stdout, new RegExp(`Usage: manyhands ${command} `));
    assert.match(stdout, /Example:\n {2}npx manyhands /, command);
    assert.match(stdout, /--json/, command);
    assert.match(stdout, /Exit codes:/, command);
  }
});

test("wrong input ends with code 2 and one sentence", async () => {
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [["bogus"], /^manyhands: unknown command 'bogus'\n/],
    [["demo", "--sed", "1"], /unknown option '--sed'\n\(Did you mean --seed\?\)/],
    [["demo", "--workers", "many"], /Expected a whole number from 0 to 256\./],
    [["demo", "--memory", "much"], /Expected a size such as 800MB or 2GiB\./],
    [["demo", "--minutes", "0"], /Expected a number above 0/],
    [["demo", "--port", "70000"], /Expected a whole number from 0 to 65535\./],
    [["run"], /missing required argument 'run\.yaml'/],
    [["run", "/nowhere/run.yaml"], /the run file \/nowhere\/run\.yaml cannot be read/],
    [["join", "nonsense"], /the join URL is not an http or https address/],
    [["join", `http://h/runs/${"ab".repeat(32)}`], /has no admission token after #/],
    [["status", "http://h/elsewhere"], /this is not a run's address/],
    [["status", "/nowhere"], /there is no run in \/nowhere/],
    [["verify", "/nowhere"], /there is no run in \/nowhere/],
    [["export", "/nowhere", "/tmp/x"], /there is no run in \/nowhere/],
    [["sample", "/nowhere", "--prompt", "x"], /there is no run in \/nowhere/],
    [["sample", "/nowhere"], /required option '--prompt <text>' not specified/],
  ];
  for (const [words, expected] of table) {
    const { code, stdout, stderr } = await run(...words);
    assert.equal(code, 2, words.join(" "));
    assert.match(stderr, expected);
    assert.equal(stdout, "", "errors are for stderr");
    assert.doesNotMatch(stderr, / at .*\.ts:/, "no stack");
  }
});

test("a mistake in the run file is told with its place, through the real binary", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-cli-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const place = join(folder, "run.yaml");
  writeFileSync(place, "name: x\nmodle: {}\n");
  const ended = await spawnBinary(["run", place]);
  assert.equal(ended.code, 2);
  assert.equal(ended.stdout, "");
  assert.equal(
    ended.stderr,
    `manyhands: ${place}:2:1: modle: expected a known field, found an unknown one\n` +
      "  Did you mean model?\n",
  );
});

test("the version is the package's", async () => {
  const own = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(VERSION, own.version);
  assert.equal((await run("--version")).stdout, `${VERSION}\n`);
});

function spawnBinary(words: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BINARY, ...words], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}
