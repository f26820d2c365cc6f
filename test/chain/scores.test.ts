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
  /** Who scores, and with which file. */
  readonly voices: readonly (readonly string[])[];
};

/** Everybody who comes commits, then reveals. @returns the windows that were open */
async function scoreAll(play: Play, voices: Play["voices"]): Promise<number> {
  const { stage, joinUrl } = play;
  const isLast = voices.length < play.voices.length;
  const folder = ["--folder", join(stage.folder, "kept")];
  const open = (await listed<Window>(joinUrl, "scores")).filter(({ phase }) => phase !== "closed");
  for (const words of ["committed", "revealed"]) {
    for (const voice of voices) {
      const said = await done(stage.t, ["score", joinUrl, ...folder, ...voice]);
      equal(said.split(`: ${words}`).length - 1, open.length, said);
    }
    // The owner does not wait for one who has not committed.
    if (isLast && words === "committed") await done(stage.t, ["pay", "scores", stage.out, "--end"]);
  }
  return open.length;
}

/** Until the coordinator has ended: windows are scored while the run is held, and settled. */
async function followed(play: Play): Promise<{ settlements: number; windows: number }> {
  const { stage, joinUrl, coordinator, voices } = play;
  const signed = new Set<number>();
  let windows = 0;
  while (coordinator.running) {
    const open = (await listed<Window>(joinUrl, "scores")).filter(
      ({ phase }) => phase !== "closed",
    );
    if (open.length > 0 && windows === 0) {
      await owner(stage.out, joinUrl, "pause");
      windows += await scoreAll(play, voices);
      const stranger = ["score", joinUrl, "--key", stage.keys.owner];
      match(await done(stage.t, stranger, 2), /is none of this run's validators/);
      await owner(stage.out, joinUrl, "resume");
    } else if (open.length > 0 && /on all validation data/.test(coordinator.output)) {
      windows += await scoreAll(play, voices.slice(0, 2)); // the liar stays away
    }
    const newest = (await listed<{ sequence: number }>(joinUrl, "settlements")).at(-1)?.sequence;
    if (newest !== undefined && !signed.has(newest)) {
      for (const key of [stage.keys.one, stage.keys.two]) {
        await done(stage.t, ["attest", joinUrl, "--key", key, "--rpc", stage.url]);
      }
      signed.add(newest);
    }
    await Promise.race([sleep(100), coordinator.exit]);
  }
  return { settlements: signed.size, windows };
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
    const voices = [
      ["--key", keys.one],
      ["--key", keys.two],
      ["--key", liar, "--scores", lie],
    ];

    const { settlements, windows } = await followed({ stage, joinUrl, coordinator, voices });
    equal((await coordinator.exit).code, 0, coordinator.output);
    ok(settlements >= 2 && windows >= 2, `${settlements} settlements of ${windows} windows`);
    t.diagnostic(`${settlements} settlements, ${windows} windows scored`);

    await t.test("each is paid what the honest say, which are the accepted tokens", async () => {
      const owed = owedByLog(join(out, "log.sqlite"));
      let paid = 0n;
      for (const [account, units] of owed) {
        const balance = await balanceOf(url, stage.dollar, `0x${account}`);
        ok(balance <= units, `0x${account} has ${balance}, no more than ${units}`);
        // A window is dealt out in whole tokens, rounded down twice.
        const less = 2n * TOKEN_UNITS * BigInt(windows);
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

    await t.test("scores that somebody took away later are not attested", async () => {
      const database = new DatabaseSync(join(out, "scores.sqlite"));
      const row = database.prepare("SELECT state FROM windows WHERE window = 0").get();
      const state = JSON.parse(String(row?.["state"]));
      const forged = { ...state, commits: state.commits.slice(1), reveals: state.reveals.slice(1) };
      database.prepare("UPDATE windows SET state = ? WHERE window = 0").run(JSON.stringify(forged));
      database.close();
      const said = await done(t, ["attest", out, "--key", keys.one, "--rpc", url], 1);
      match(said, /the validators' scores do not hold: .*set of commitments/);
    });
  },
);
