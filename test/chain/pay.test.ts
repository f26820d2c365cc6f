// A run from its funding to its last payout, as people would do it: real commands as processes, a
// local chain, four workers, two attestors. Checked by audit.ts, which shares no code with it.
import { equal, match, ok } from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Address, keccak256, toHex } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import { plainEnvironment, tinyRun } from "../e2e/tiny-run.ts";
import { Process } from "../process.ts";
import { askChain, balanceOf, owedByLog } from "./audit.ts";

const LIMIT = { timeout: 180_000 };
const TOKENS = 65_536;
const FUNDING = 100_000_000n; // 100 dollars of 6 decimals
const accountOf = (name: string): Address => toHex(`account of ${name}`.slice(0, 20), { size: 20 });

type Stage = {
  readonly t: TestContext;
  readonly folder: string;
  readonly out: string;
  readonly url: string;
  readonly registry: string;
  readonly dollar: string;
  readonly keys: Readonly<Record<"owner" | "one" | "two", string>>;
};

function start(t: TestContext, args: readonly string[]): Process {
  const child = new Process(args, { environment: plainEnvironment() });
  t.after(() => (child.running ? child.kill() : undefined));
  return child;
}

async function done(t: TestContext, args: readonly string[], code = 0): Promise<string> {
  const child = start(t, args);
  equal((await child.exit).code, code, child.output);
  return child.output;
}

async function setUp(t: TestContext): Promise<Stage> {
  const folder = await tinyRun(t, TOKENS, "  workersMin: 4");
  const chain = start(t, ["chain", "--folder", join(folder, "chain"), "--port", "0", "--json"]);
  const [line] = await chain.says(/\{.*"url".*\}/);
  const { url, registry, dollar } = JSON.parse(line) as Record<string, string>;
  const keys = { owner: "", one: "", two: "" };
  const addresses: string[] = [];
  for (const name of ["owner", "one", "two"] as const) {
    keys[name] = join(folder, `${name}.key`);
    const key = keccak256(toHex(name));
    await writeFile(keys[name], `${key}\n`);
    if (name !== "owner") addresses.push(`    - "${privateKeyToAddress(key)}"`);
  }
  const terms = [
    "pay:",
    "  chain: local",
    "  unitsPerMillionTokens: 7_000_003".replaceAll("_", ""),
    "  shares: { training: 0.8, data: 0.15, storage: 0.05 }",
    `  dataAccount: "${accountOf("data")}"`,
    `  storageAccount: "${accountOf("storage")}"`,
    "  settleEvery: 4",
    "  challengeWindow: 1s",
    "  attestors:",
    ...addresses,
  ];
  await appendFile(join(folder, "run.yaml"), `${terms.join("\n")}\n`);
  const out = join(folder, "out");
  return { t, folder, out, keys, url: url ?? "", registry: registry ?? "", dollar: dollar ?? "" };
}

async function owner(out: string, joinUrl: string, wish: "pause" | "resume"): Promise<void> {
  const { ownerToken } = JSON.parse(await readFile(join(out, "keys.json"), "utf8"));
  const headers = { authorization: `Bearer ${ownerToken}` };
  const answer = await fetch(`${joinUrl.replace(/#.*/, "")}/${wish}`, { method: "POST", headers });
  equal(answer.status, 200);
}

function device(stage: Stage, joinUrl: string, name: string, paid: boolean): Process {
  const payTo = paid ? ["--pay-to", accountOf(name)] : [];
  const folder = join(stage.folder, name);
  const more = ["--folder", folder, "--name", name, "--threads", "1", "--compute", "cpu"];
  return start(stage.t, ["join", joinUrl, ...more, ...payTo]);
}

/** A wallet signs for one device: its folder keeps it, and another device cannot use it. */
async function delegated({ t, folder }: Stage, joinUrl: string, name: string): Promise<string> {
  const key = join(folder, `${name}.key`);
  await writeFile(key, `${keccak256(toHex(name))}\n`);
  const sign = ["pay", "delegate", joinUrl, "--key", key, "--folder", join(folder, name), "--json"];
  const { account, delegation } = JSON.parse(await done(t, sign)) as Record<string, string>;
  const theft = ["--pay-to", account ?? "", "--delegation", delegation ?? "", "--compute", "cpu"];
  const other = ["join", joinUrl, "--folder", join(folder, "eve"), ...theft];
  match(await done(t, other, 2), /refused us: expected the signature of .* for this device/);
  return account ?? "";
}

/** Both attestors sign whatever waits for them, until the coordinator has ended. */
async function attestAll(stage: Stage, coordinator: Process, joinUrl: string): Promise<number> {
  const signed = new Set<number>();
  const headers = { authorization: `Bearer ${joinUrl.replace(/.*#/, "")}` };
  while (coordinator.running) {
    const list = await fetch(`${joinUrl.replace(/#.*/, "")}/settlements`, { headers })
      .then((answer) => answer.json() as Promise<readonly { sequence: number }[]>)
      .catch(() => []); // it has ended
    const newest = list.at(-1)?.sequence ?? 0;
    if (newest > 0 && !signed.has(newest)) {
      for (const key of [stage.keys.one, stage.keys.two]) {
        const said = await done(stage.t, ["attest", joinUrl, "--key", key, "--rpc", stage.url]);
        match(said, new RegExp(`Settlement ${newest} .* is what the log says`));
      }
      signed.add(newest);
    }
    await Promise.race([sleep(100), coordinator.exit]);
  }
  return signed.size;
}

/** By log and chain alone: everybody has what is owed, and the rest is still there. */
async function audited({ out, url, dollar, registry }: Stage) {
  const owed = owedByLog(join(out, "log.sqlite"));
  let paidOut = 0n;
  for (const [account, units] of owed) {
    const balance = await balanceOf(url, dollar, `0x${account}`);
    equal(balance, units, `0x${account}, to the last unit`);
    paidOut += balance;
  }
  const unspent = await balanceOf(url, dollar, registry as Address);
  equal(paidOut + unspent, FUNDING, "payouts and what is left are what came in");
  const run = await askChain(url, registry, "getRun(uint64)", 1n);
  equal(run[6], paidOut, "the registry's own count");
  return { paidOut, accounts: owed.size };
}

test("funded, trained by four, attested by two, paid to the last unit", LIMIT, async (t) => {
  const stage = await setUp(t);
  const { folder, out, url, keys } = stage;
  const chain = ["--chain", url, "--key", keys.owner];
  const up = ["up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out, ...chain];
  const coordinator = start(t, up);
  const [, joinUrl = ""] = await coordinator.says(/npx \S+ join '(\S+)'/);
  const funding = ["pay", "fund", out, "100", "--mint", "--rpc", url, "--key", keys.owner];
  match(await done(t, funding), /Run 1 on its chain is funded with 100 /);

  // Ada and Ben name an account, Cyd's wallet signs later, Dan never says anything.
  const devices = ["ada", "ben", "cyd", "dan"].map((name, i) =>
    device(stage, joinUrl, name, i < 2),
  );
  await coordinator.says(/^round +1 /m);
  await owner(out, joinUrl, "pause");
  devices[2]?.signal("SIGINT");
  await devices[2]?.exit;
  const account = await delegated(stage, joinUrl, "cyd");
  const again = device(stage, joinUrl, "cyd", false);
  await again.says(new RegExp(`is paid to ${account}`));
  await owner(out, joinUrl, "resume");

  const settlements = await attestAll(stage, coordinator, joinUrl);
  equal((await coordinator.exit).code, 0, coordinator.output);
  ok(settlements >= 2, `${settlements} settlements`);

  const { paidOut, accounts } = await audited(stage);
  equal(accounts, 5, "three workers, data and storage; nobody for Dan");
  t.diagnostic(`${settlements} settlements, ${paidOut} units to ${accounts} accounts`);

  await t.test("told: everybody is paid, and Dan's tokens wait for an account", async () => {
    const told = await done(t, ["pay", "status", out, "--rpc", url]);
    match(told, new RegExp(`funded 100, paid ${Number(paidOut) / 1e6}`));
    match(told, /dan: [\d,.\s]+ tokens wait for an account/);
    const csv = await done(t, ["pay", "export", out, "--rpc", url]);
    equal(csv.trim().split("\n").length, 6, csv);
    const report = await readFile(join(out, "report.html"), "utf8");
    match(report, /Who is owed what[\s\S]*dan has named no account/);
  });

  await t.test("a settlement that the log does not support is not signed", async () => {
    const database = new DatabaseSync(join(out, "settle.sqlite"));
    const newest = database.prepare("SELECT * FROM settlements ORDER BY sequence DESC").get();
    const bundle = JSON.parse(String(newest?.["bundle"])) as Record<string, unknown>;
    const forged = JSON.stringify({ ...bundle, sequence: 99, total: "1" });
    database
      .prepare("INSERT INTO settlements VALUES (99, ?, ?)")
      .run(newest?.["round"] ?? 0, forged);
    database.close();
    const said = await done(t, ["attest", out, "--key", keys.one, "--rpc", url], 1);
    match(said, /not signed: the log does not support .*total is 1, by the log it is \d+/);
  });

  await t.test("another chain is refused, and strangers are no attestors", async () => {
    const foreign = ["chain", "--folder", join(folder, "other"), "--port", "0", "--json"];
    const other = start(t, [...foreign, "--chain-id", "7"]);
    const [, otherUrl = ""] = await other.says(/"url": ?"([^"]+)"/);
    const settle = ["pay", "settle", out, "--key", keys.owner, "--rpc", otherUrl];
    match(await done(t, settle, 1), /answers for chain 7, the run pays on 7433000/);
    const stranger = ["attest", out, "--key", keys.owner, "--rpc", url];
    match(await done(t, stranger, 2), /is none of this run's attestors/);
  });
});
