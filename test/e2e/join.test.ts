// A device that has nothing but the URL: it takes the coordinator's own tarball, joins from an
// empty folder, and is credited. Nothing is installed: the runtime's place is filled beforehand.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { compareText } from "@manyhands/base/bytes";
import { Process } from "../process.ts";
import { plainEnvironment, tinyRun } from "./tiny-run.ts";

const MODULES = join(import.meta.dirname, "../../node_modules");

const LIMIT = { timeout: 300_000 };

test("up and join: a tarball's worker from an empty folder is credited", LIMIT, async (t) => {
  const folder = await tinyRun(t, 6_144);
  const out = join(folder, "out");
  const coordinator = start(t, ["up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out]);
  const [, tarballUrl = "", joinUrl = ""] = await coordinator.says(/npx (\S+) join '(\S+)'/);
  const launcher = await unpack(tarballUrl, join(folder, "package"));

  await t.test("without a runtime and without npm, the launcher says what is missing", async () => {
    const lone = start(t, ["join", joinUrl], {
      script: launcher,
      environment: plainEnvironment({ PATH: "", XDG_CACHE_HOME: join(folder, "empty") }),
    });
    equal((await lone.exit).code, 1, lone.output);
    match(lone.output, /first start on this machine: installing onnxruntime-node \d/);
    match(lone.output, /npm could not install onnxruntime-node .*: npm does not start/);
    match(lone.output, /Check the connection to the npm registry/);
  });

  const environment = plainEnvironment({ XDG_CACHE_HOME: await runtimeCache(folder, launcher) });
  const workers = ["ada", "ben"].map((name) =>
    start(t, ["join", joinUrl, "--folder", join(folder, name), "--name", name], {
      script: launcher,
      environment,
    }),
  );
  equal((await coordinator.exit).code, 0, coordinator.output);
  match(coordinator.stdout, /^round +0 .*\nround +1 /m, "one line per round");
  for (const worker of workers) {
    equal((await worker.exit).code, 0, worker.output);
    match(worker.output, /The run is finished: its budget of tokens is spent\./);
  }
  const summary = JSON.parse(await readFile(join(out, "summary.json"), "utf8"));
  const credited = summary.workers as readonly { name: string; tokens: number }[];
  deepEqual(credited.map(({ name }) => name).toSorted(compareText), ["ada", "ben"]);
  ok(credited.every(({ tokens }) => tokens > 0));
  equal(
    credited.reduce((total, { tokens }) => total + tokens, 0),
    summary.tokens,
  );
});

function start(
  t: TestContext,
  args: readonly string[],
  options: ConstructorParameters<typeof Process>[1] = { environment: plainEnvironment() },
): Process {
  const child = new Process(args, options);
  t.after(() => (child.running ? child.kill() : undefined));
  return child;
}

/** Unpacks a tar of plain files with short names, as ours is. @returns its launcher */
async function unpack(url: string, target: string): Promise<string> {
  const answer = await fetch(url);
  equal(answer.status, 200);
  const tar = gunzipSync(Buffer.from(await answer.arrayBuffer()));
  for (let at = 0; tar[at] !== 0 && at < tar.length; ) {
    const field = (from: number, length: number): string =>
      tar.toString("latin1", at + from, at + from + length).replace(/\0.*$/s, "");
    const size = Number.parseInt(field(124, 12), 8);
    const path = join(target, field(0, 100).replace(/^package\//, ""));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, tar.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return join(target, "bin", "manyhands.mjs");
}

/** What the launcher would install, linked to the checkout's copy. @returns the cache folder */
async function runtimeCache(folder: string, launcher: string): Promise<string> {
  const versions = JSON.parse(await readFile(join(launcher, "../../dist/runtime.json"), "utf8"));
  const ort = versions["onnxruntime-node"];
  const cache = join(folder, "cache");
  const name = `runtime-ort-${ort}-${process.platform}-${process.arch}`;
  const modules = join(cache, "manyhands", name, "node_modules");
  await mkdir(modules, { recursive: true });
  await symlink(join(MODULES, "onnxruntime-node"), join(modules, "onnxruntime-node"), "dir");
  return cache;
}
