// The whole coordinator, killed at each step of its settlements, five times each, and started again
// by the same command: nobody is paid twice, nothing is lost, whoever left keeps what was accepted.
import { equal, match, ok } from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Address } from "viem";
import { plainEnvironment } from "../e2e/tiny-run.ts";
import { Process } from "../process.ts";
import { askChain, balanceOf, owedByLog } from "./audit.ts";
import { CRASH_FOLDER, CRASH_STEPS, CRASH_TIMES } from "./crash-orders.ts";
import {
  accountOf,
  attestAll,
  device,
  done,
  owner,
  PAY_CHAINS,
  type Stage,
  setUp,
} from "./pay-stage.ts";

const LIMIT = { timeout: 360_000 };
const TIMES = 5;
/** More than it takes: its owner stops it when everything has been died. */
const TOKENS = 20_000_000;
const FUNDING = 100_000_000n;

class Coordinator {
  readonly #t: TestContext;
  readonly #args: readonly string[];
  readonly #marks: string;
  #port = "0";
  #process: Process;
  deaths = 0;

  constructor({ t, folder, out, url, keys }: Stage) {
    this.#t = t;
    this.#marks = join(folder, "marks");
    mkdirSync(this.#marks);
    const chain = ["--chain", url, "--key", keys.owner];
    this.#args = ["up", folder, "--host", "127.0.0.1", "--out", out, ...chain];
    this.#process = this.#start();
  }

  #start(): Process {
    const hook = pathToFileURL(join(import.meta.dirname, "crash-hook.ts")).href;
    const environment = plainEnvironment({
      NODE_OPTIONS: `--import ${hook}`,
      [CRASH_FOLDER]: this.#marks,
      [CRASH_TIMES]: String(TIMES),
    });
    const child = new Process([...this.#args, "--port", this.#port], { environment });
    this.#t.after(() => (child.running ? child.kill() : undefined));
    return child;
  }

  /** Its address stays the same through all its lives. */
  async joinUrl(): Promise<string> {
    const [, joinUrl = ""] = await this.#process.says(/npx \S+ join '(\S+)'/);
    this.#port = new URL(joinUrl).port;
    return joinUrl;
  }

  /** Through all its deaths, until it ends by itself. */
  async toTheEnd(): Promise<void> {
    for (;;) {
      const { code, signal } = await this.#process.exit;
      if (signal !== "SIGKILL") return equal(code, 0, this.#process.output);
      this.deaths += 1;
      this.#process = this.#start();
    }
  }

  died(step: string): number {
    return readdirSync(this.#marks).filter((name) => name.startsWith(`died-${step}-`)).length;
  }
}

test(`dies at each step, ${TIMES} times each: all are paid once`, LIMIT, async (t) => {
  const open = PAY_CHAINS.local;
  const stage = await setUp(t, { open, tokens: TOKENS, workersMin: 1, settleEvery: 20 });
  const { out, url, keys } = stage;
  const coordinator = new Coordinator(stage);
  const joinUrl = await coordinator.joinUrl();
  const own = ["--rpc", url, "--key", keys.owner];
  await done(t, ["pay", "fund", out, "100", "--mint", ...own]);
  const leaver = device(stage, joinUrl, "ada", true);
  await leaver.says(/[3-9]\.\d+k tokens given/);
  const stop = new AbortController();
  const attesting = attestAll(stage, joinUrl, stop.signal);
  const ending = coordinator.toTheEnd();
  leaver.signal("SIGINT");
  await leaver.exit;
  device(stage, joinUrl, "ben", true);
  while (coordinator.deaths < TIMES * CRASH_STEPS.length) await sleep(100);
  await coordinator.joinUrl();
  await owner(out, joinUrl, "stop");
  await ending;
  stop.abort();
  const signatures = await attesting;
  for (const step of CRASH_STEPS) equal(coordinator.died(step), TIMES, step);
  equal(coordinator.deaths, TIMES * CRASH_STEPS.length);
  const paidOut = await audited(stage);
  match(await readFile(join(out, "summary.json"), "utf8"), /"tokens"/);
  t.diagnostic(`${coordinator.deaths} deaths, ${signatures} signatures, ${paidOut} units paid`);
});

/** By log and chain alone. */
async function audited({ out, url, dollar, registry }: Stage): Promise<bigint> {
  const owed = owedByLog(join(out, "log.sqlite"));
  let paidOut = 0n;
  for (const [account, units] of owed) {
    const balance = await balanceOf(url, dollar, `0x${account}`);
    equal(balance, units, `0x${account}: once, and all of it`);
    paidOut += units;
  }
  ok((owed.get(accountOf("ada").slice(2)) ?? 0n) > 0n, "who left keeps what was accepted");
  const left = await balanceOf(url, dollar, registry as Address);
  equal(left, FUNDING - paidOut, "the rest is there");
  equal((await askChain(url, registry, "getRun(uint64)", 1n))[6], paidOut);
  return paidOut;
}
