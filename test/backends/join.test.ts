// A Node worker on a GPU: it takes part in a run, is credited, and its updates say on what they
// were made. Where there is no adapter, it says so.
import { deepEqual, equal, match } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { plainEnvironment, tinyRun } from "../e2e/tiny-run.ts";
import { Process } from "../process.ts";

const LIMIT = { timeout: 300_000 };

function start(t: TestContext, args: readonly string[], extra: NodeJS.ProcessEnv = {}): Process {
  const child = new Process(args, { environment: plainEnvironment(extra) });
  t.after(() => (child.running ? child.kill() : undefined));
  return child;
}

const { VK_ICD_FILENAMES, LD_LIBRARY_PATH } = process.env;

test(
  "join --compute gpu: without an adapter the sentence says so; with one it is credited",
  LIMIT,
  async (t) => {
    const folder = await tinyRun(t, 4_096, "  workersMin: 1");
    const out = join(folder, "out");
    const coordinator = start(t, [
      "up",
      folder,
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      "--out",
      out,
    ]);
    const [, joinUrl = ""] = await coordinator.says(/npx \S+ join '(\S+)'/);
    const gpu = ["join", joinUrl, "--compute", "gpu"];

    const without = start(t, [...gpu, "--folder", join(folder, "eve")], {
      VK_ICD_FILENAMES: "/none",
    });
    equal((await without.exit).code, 1, without.output);
    match(without.output, /cannot train the run: there is no GPU here that WebGPU can use/);

    const worker = start(t, [...gpu, "--folder", join(folder, "ada"), "--name", "ada"], {
      VK_ICD_FILENAMES,
      LD_LIBRARY_PATH,
    });
    equal((await coordinator.exit).code, 0, coordinator.output);
    equal((await worker.exit).code, 0, worker.output);
    const summary = JSON.parse(await readFile(join(out, "summary.json"), "utf8"));
    equal(
      summary.workers.find(({ name }: { name: string }) => name === "ada").tokens,
      summary.tokens,
    );
    const log = new DatabaseSync(join(out, "log.sqlite"), { readOnly: true });
    t.after(() => log.close());
    const updates = log
      .prepare(
        "SELECT event ->> '$.update.numerics' AS numerics FROM log WHERE event ->> 'type' = ?",
      )
      .all("UpdateCommitted");
    deepEqual(
      updates.map(({ numerics }) => numerics),
      Array(4).fill("ort-webgpu"),
    );
  },
);
