// A run whose windows three validators score, one of whom lies: commands as processes, a local
// chain, two workers, two attestors. Its favourite gets no more than the others agree on.
import { equal, match, ok } from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Address, keccak256, toHex } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import type { Process } from "../process.ts";
import { balanceOf, owedByLog } from "./audit.ts";
import {
  accountOf,
  device,
  done,
  owner,
  PAY_CHAINS,
  type Stage,
  setUp,
  start,
} from "./pay-stage.ts";

const LIMIT = { timeout: 300_000 };
const FUNDING = 100_000_000n; // 100 dollars of 6 decimals
/** Units of one token of training, rounded up: 7.000003 · 0.8. */
const TOKEN_UNITS = 6n;

type Window = { readonly window: number; readonly phase: string; readonly committed: string[] };

/** The same people as attestors and validators, and one who lies. */
async function withValidators(stage: Stage): Promise<string> {
  const liar = join(stage.folder, "liar.key");
  await writeFile(liar, `${keccak256(toHex("liar"))}\n`);
  const addresses = ["one", "two", "liar"].map((name) =>
    privateKeyToAddress(keccak256(toHex(name))),
  );
  const validators = addresses.map((account) => `      - { account: "${account}", stake: 10 }`);
  const lines = ["  scores:", "    validators:", ...validators];
  await appendFile(join(stage.folder, "run.yaml"), `${lines.join("\n")}\n`);
  return liar;
}

/** What the coordinator lists; nothing once it has ended. */
async function listed<T>(joinUrl: string, what: "scores" | "settlements"): Promise<readonly T[]> {
  const [url, token] = joinUrl.split("#");
  const headers = { authorization: `Bearer ${token}`, connection: "close" };
  return fetch(`${url}/${what}`, { headers })
    .then((answer) => answer.json() as Promise<readonly T[]>)
    .catch(() => []);
}

type Play = {
  readonly stage: Stage;
  readonly joinUrl: string;
  readonly coordinator: Process;
  readonly liar: Process;
};

const openOf = (windows: readonly Window[]): readonly Window[] =>
  windows.filter(({ phase }) => phase !== "closed");

/** Until the coordinator has ended: the run is held while its first window is scored by three. */
async function followed({ stage, joinUrl, coordinator, liar }: Play): Promise<void> {
  let ended = false;
  while (coordinator.running) {
    const open = openOf(await listed<Window>(joinUrl, "scores"));
    if (open.length > 0 && liar.running) {
      await owner(stage.out, joinUrl, "pause");
      const stranger = ["score", joinUrl, "--key", stage.keys.owner];
      match(await done(stage.t, stranger, 2), /is none of this run's validators/);
      await liar.says(/Window 0: revealed/);
      liar.signal("SIGINT");
      equal((await liar.exit).code, 0, liar.output);
      await owner(stage.out, joinUrl, "resume");
    }
    // A finished run has no rounds that would end it: the owner does not wait for the liar.
    const isTrained = /on all validation data/.test(coordinator.output);
    const waits = ({ phase, committed }: Window): boolean =>
      phase === "commit" && committed.length === 2;
    if (isTrained && open.length > 0 && open.every(waits) && !ended) {
      await done(stage.t, ["pay", "scores", stage.out, "--end"]);
      ended = true;
    }
    await Promise.race([sleep(100), coordinator.exit]);
  }
  ok(ended, "the last windows waited for somebody who did not come");
}

/** In a folder whose run is over: nothing is signed on other scores than were said. */
async function isNoticed({ t, out, keys, url }: Stage): Promise<void> {
  const database = new DatabaseSync(join(out, "scores.sqlite"));
  const row = database.prepare("SELECT state FROM windows WHERE window = 0").get();
  const state = JSON.parse(String(row?.["state"]));
  const forged = { ...state, commits: state.commits.slice(1), reveals: state.reveals.slice(1) };
  database.prepare("UPDATE windows SET state = ? WHERE window = 0").run(JSON.stringify(forged));
  database.close();
  const said = await done(t, ["attest", out, "--key", keys.one, "--rpc", url], 1);
  match(said, /the validators' scores do not hold: .*set of commitments/);
}

test(
  "three validators score, one lies for a friend: nobody gets more than consensus",
  LIMIT,
  async (t) => {
    const terms = { open: PAY_CHAINS.local, tokens: 65_536, workersMin: 2, settleEvery: 20 };
    const stage = await setUp(t, terms);
    const liar = await withValidators(stage);
    const { folder, out, url, keys } = stage;
    const chain = ["--chain", url, "--key", keys.owner];
    const up = ["up", folder, "--host", "127.0.0.1", "--port", "0", "--out", out, ...chain];
    const coordinator = start(t, up);
    const [, joinUrl = ""] = await coordinator.says(/npx \S+ join '(\S+)'/);
    const funding = ["pay", "fund", out, "100", "--mint", "--rpc", url, "--key", keys.owner];
    await done(t, funding);
    const devices = ["ada", "ben"].map((name) => device(stage, joinUrl, name, true));
    const [, ben = ""] = (await devices[1]?.says(/Credit of device (\w{64}) is paid/)) ?? [];
    const lie = join(folder, "lie.json");
    await writeFile(lie, JSON.stringify({ [ben]: 1_000_000 }));
    const kept = ["--folder", join(folder, "kept"), "--every", "1"];
    const voice = (...more: readonly string[]): Process =>
      start(t, ["score", joinUrl, ...kept, ...more]);
    const lying = voice("--key", liar, "--scores", lie);
    const honest = [keys.one, keys.two].map((key) => voice("--key", key));
    const attestors = [keys.one, keys.two].map((key) =>
      start(t, ["attest", joinUrl, "--key", key, "--rpc", url, "--every", "1"]),
    );
    await followed({ stage, joinUrl, coordinator, liar: lying });
    equal((await coordinator.exit).code, 0, coordinator.output);
    for (const process of [...honest, ...attestors]) {
      process.signal("SIGINT");
      equal((await process.exit).code, 0, process.output);
    }
    for (const { output } of attestors) match(output, /Settlement 2 .* is what the log says/);
    const scored = honest[0]?.output.match(/Window \d+: revealed/g) ?? [];
    ok(scored.length >= 2, honest[0]?.output);

    await t.test("each is paid what the honest say, which are the accepted tokens", async () => {
      const owed = owedByLog(join(out, "log.sqlite"));
      let paid = 0n;
      for (const [account, units] of owed) {
        const balance = await balanceOf(url, stage.dollar, `0x${account}`);
        ok(balance <= units, `0x${account} has ${balance}, no more than ${units}`);
        // A window is dealt out in whole tokens, rounded down twice.
        const less = 2n * TOKEN_UNITS * BigInt(scored.length);
        ok(units - balance <= less, `0x${account}: ${units - balance} units less`);
        paid += balance;
      }
      const unspent = await balanceOf(url, stage.dollar, stage.registry as Address);
      equal(paid + unspent, FUNDING, "payouts and what is left are what came in");
      const friend = await balanceOf(url, stage.dollar, accountOf("ben"));
      ok(friend > 0n, "nobody loses for being liked by a liar");
    });

    await t.test("the liar is told from the others by how much was agreed with", async () => {
      const told = JSON.parse(await done(t, ["pay", "scores", out, "--json"])) as {
        windows: { result: { agreedBps: number; trustBps: Record<string, number> } | null }[];
      };
      const [first] = told.windows;
      const trust = Object.values(first?.result?.trustBps ?? {});
      equal(first?.result?.agreedBps, 10_000);
      equal(trust.filter((bps) => bps >= 9_999).length, 2, `${trust}`);
      equal(trust.filter((bps) => bps < 9_000).length, 1, `${trust}`);
      match(await done(t, ["pay", "scores", out]), /100 % by consensus, which agreed with 0x/);
    });

    await t.test("scores that somebody took away later are not attested", () => isNoticed(stage));
  },
);
