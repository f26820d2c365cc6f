// A host of two runs that pay from one key: both are settled beside each other, and all are paid.
import { equal, ok } from "node:assert/strict";
import { existsSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "viem";
import { askChain, balanceOf, owedByLog } from "./audit.ts";
import { attestAll, device, done, PAY_CHAINS, setUp, start } from "./pay-stage.ts";

const LIMIT = { timeout: 180_000 };
const FUNDING = 50_000_000n;
const NAMES = ["first", "second"] as const;

test("a host settles its runs, two from one key", LIMIT, async (t) => {
  const open = PAY_CHAINS.local;
  const stage = await setUp(t, { open, tokens: 65_536, workersMin: 1, settleEvery: 16 });
  const { folder, url, keys, dollar, registry } = stage;
  const hosted = join(folder, "hosted");
  const text = await readFile(join(folder, "run.yaml"), "utf8");
  for (const [seed, name] of NAMES.entries()) {
    const run = join(hosted, name);
    await cp(join(folder, "corpus.txt"), join(run, "corpus.txt"));
    const own = text.replace("name: tiny", `name: ${name}`).replace("seed: 7", `seed: ${seed}`);
    await writeFile(join(run, "run.yaml"), own);
  }
  const own = ["--key", keys.owner];
  const place = ["--host", "127.0.0.1", "--port", "0", "--chain", url];
  const host = start(t, ["host", hosted, ...place, ...own]);
  const stop = new AbortController();
  const attesting: Promise<number>[] = [];
  for (const name of NAMES) {
    const [, joinUrl = ""] = await host.says(new RegExp(`^${name} \\(\\w+\\): (\\S+)`, "m"));
    const run = join(hosted, name, "run");
    await done(t, ["pay", "fund", run, "50", "--mint", "--rpc", url, ...own]);
    device(stage, joinUrl, `${name} device`, true);
    attesting.push(attestAll(stage, joinUrl, stop.signal));
  }
  let paidOut = 0n;
  for (const name of NAMES) {
    const run = join(hosted, name, "run");
    while (!existsSync(join(run, "summary.json"))) await sleep(200);
    const owed = owedByLog(join(run, "log.sqlite"));
    const total = [...owed.values()].reduce((sum, one) => sum + one, 0n);
    ok(total > 0n);
    const { onChainRunId } = JSON.parse(
      await done(t, ["pay", "status", run, "--rpc", url, "--json"]),
    );
    const paid = async (): Promise<bigint | undefined> =>
      (await askChain(url, registry, "getRun(uint64)", BigInt(onChainRunId)))[6];
    while ((await paid()) !== total) await sleep(200);
    paidOut += total;
  }
  stop.abort();
  const signatures = (await Promise.all(attesting)).reduce((sum, one) => sum + one, 0);
  const unspent = await balanceOf(url, dollar, registry as Address);
  equal(paidOut + unspent, 2n * FUNDING, "payouts and what is left are what came in");
  host.signal("SIGINT");
  equal((await host.exit).code, 0, host.output);
  t.diagnostic(`${signatures} signatures, ${paidOut} units`);
});
