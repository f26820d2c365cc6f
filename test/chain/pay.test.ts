// A run from its funding to its last payout, as people would do it: real commands as processes,
// four workers, two attestors; on the local chain, and on anvil. Checked by audit.ts, which shares
// no code with it.
import { equal, match, ok } from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { type Address, type Hex, keccak256, toHex } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import { balanceOf } from "./audit.ts";
import { attest, attestAll, audited, FUNDING } from "./pay-checks.ts";
import { device, done, owner, PAY_CHAINS, type Stage, setUp, start } from "./pay-stage.ts";
import { replayed } from "./replay.ts";

const LIMIT = { timeout: 180_000 };
const TOKENS = 131_072;

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

for (const name of ["local", "anvil"] as const) {
  test(`${name}: funded, trained by four, attested by two, paid to the last unit`, LIMIT, (t) => {
    return paidRun(t, name);
  });
}

async function paidRun(t: TestContext, name: keyof typeof PAY_CHAINS): Promise<void> {
  const open = PAY_CHAINS[name];
  const stage = await setUp(t, { open, tokens: TOKENS, workersMin: 4, settleEvery: 4 });
  const { folder, out, url, keys } = stage;
  const chain = ["--chain", url, "--key", keys.owner];
  const up = ["up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out, ...chain];
  const coordinator = start(t, up);
  const [, joinUrl = ""] = await coordinator.says(/npx \S+ join '(\S+)'/);
  const own = ["--rpc", url, "--key", keys.owner];
  match(await done(t, ["pay", "fund", out, "60", "--mint", ...own]), /Run 1 .* funded with 60 /);
  const permitted = await done(t, ["pay", "fund", out, "40", "--mint", "--permit", ...own]);
  match(permitted, /^Run 1 on its chain is funded with 100 [^\n]*\n$/, "by the token's own permit");

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
  // The first settlement is final before the last round: the others come on top of it.
  await coordinator.says(/Settlement 1 waits/);
  await owner(out, joinUrl, "pause");
  await attest(stage, joinUrl, 1);
  await coordinator.says(/Settlement 1 is final/);
  await owner(out, joinUrl, "resume");

  const settlements = await attestAll(stage, coordinator, { joinUrl, signed: new Set([1]) });
  equal((await coordinator.exit).code, 0, coordinator.output);
  ok(settlements >= 2, `${settlements} settlements`);

  const { paidOut, accounts } = await audited(stage);
  equal(accounts, 5, "three workers, data and storage; nobody for Dan");
  t.diagnostic(`${settlements} settlements, ${paidOut} units to ${accounts} accounts`);

  await t.test("told: everybody is paid, and Dan's tokens wait", () => isTold(stage, paidOut));
  await t.test("finished and taken back, by its owner", () => isOver(stage, paidOut));
  await t.test("not supported by the log: not signed", () => isNotSigned(stage));
  await t.test("another chain, and strangers", () => isRefused(stage));
  if (name === "anvil") return;
  await t.test("the same bytes on anvil: equal gas, outcomes and logs", async (t) => {
    t.diagnostic(`${await replayed(t, url, join(out, "settle.sqlite"))} transactions`);
  });
}

async function isTold({ t, out, url }: Stage, paidOut: bigint): Promise<void> {
  const told = await done(t, ["pay", "status", out, "--rpc", url]);
  match(told, new RegExp(`funded 100, paid ${Number(paidOut) / 1e6}`));
  match(told, /dan: [\d,.\s]+ tokens wait for an account/);
  const csv = await done(t, ["pay", "export", out, "--rpc", url]);
  equal(csv.trim().split("\n").length, 6, csv);
  const report = await readFile(join(out, "report.html"), "utf8");
  match(report, /Who is owed what[\s\S]*dan has named no account/);
}

async function isOver({ t, out, url, keys, dollar, registry }: Stage, paidOut: bigint) {
  const pay = (wish: string, key: string, code = 0): Promise<string> =>
    done(t, ["pay", wish, out, "--rpc", url, "--key", key], code);
  match(await pay("reclaim", keys.owner, 1), /not finished: its money is its workers' until then/);
  match(await pay("finish", keys.one, 1), /only the run's owner may do that: 0x/);
  match(await pay("pause", keys.owner), /^Paused/);
  match(await pay("resume", keys.owner), /posted again/);
  match(await pay("finish", keys.owner), /^Finished/);
  match(await pay("finish", keys.owner, 1), /finished on its chain already/);
  match(await pay("reclaim", keys.two, 1), /only the run's owner/);
  for (let said = ""; !/ are back with the run's owner\.\n/.test(said); ) {
    const again = start(t, ["pay", "reclaim", out, "--rpc", url, "--key", keys.owner]);
    const { code } = await again.exit;
    said = again.output;
    ok(code === 0 || /not before .*TooEarly/.test(said), said);
  }
  match(await pay("reclaim", keys.owner, 1), /nothing is left to take back/);
  const owner = privateKeyToAddress((await readFile(keys.owner, "utf8")).trim() as Hex);
  const reclaimed = await balanceOf(url, dollar, owner);
  const unspent = await balanceOf(url, dollar, registry as Address);
  equal(paidOut + reclaimed + unspent, FUNDING, "payouts + reclaimed + unspent = funding");
  equal(unspent, 0n, "everybody has claimed");
}

async function isNotSigned({ t, out, url, keys }: Stage): Promise<void> {
  const database = new DatabaseSync(join(out, "settle.sqlite"));
  const newest = database.prepare("SELECT * FROM settlements ORDER BY sequence DESC").get();
  const bundle = JSON.parse(String(newest?.["bundle"])) as Record<string, unknown>;
  const forged = JSON.stringify({ ...bundle, sequence: 99, total: "1" });
  const insert = database.prepare("INSERT INTO settlements VALUES (99, ?, ?)");
  insert.run(newest?.["round"] ?? 0, forged);
  const said = await done(t, ["attest", out, "--key", keys.one, "--rpc", url], 1);
  match(said, /not signed: the log does not support .*total is 1, by the log it is \d+/);
  database.exec("DELETE FROM settlements WHERE sequence = 99");
  database.close();

  // As if the log had been another one when it was signed over.
  const memory = `${keys.one}.attested.json`;
  const signed = await readFile(memory, "utf8");
  const other = signed.replace(/"head": "(.)/, (_, digit) => `"head": "${digit === "0" ? 1 : 0}`);
  await writeFile(memory, other);
  const rewritten = await done(t, ["attest", out, "--key", keys.one, "--rpc", url], 1);
  match(rewritten, /not signed: .*the log was rewritten behind row \d+/);
  await writeFile(memory, signed);
  match(await done(t, ["attest", out, "--key", keys.one, "--rpc", url]), /is what the log says/);
}

async function isRefused({ t, folder, out, url, keys }: Stage): Promise<void> {
  const foreign = ["chain", "--folder", join(folder, "other"), "--port", "0", "--json"];
  const other = start(t, [...foreign, "--chain-id", "7"]);
  const [, otherUrl = ""] = await other.says(/"url": ?"([^"]+)"/);
  const settle = ["pay", "settle", out, "--key", keys.owner, "--rpc", otherUrl];
  match(await done(t, settle, 1), /answers for chain 7, the run pays on 7433000/);
  const stranger = ["attest", out, "--key", keys.owner, "--rpc", url];
  match(await done(t, stranger, 2), /is none of this run's attestors/);
}
