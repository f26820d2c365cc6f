// What a paid run needs around it, as processes and files: a chain, keys, terms, devices.
// Not what is expected of it: the tests.
import { equal, match } from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { deploymentsOn } from "@manyhands/chain/local/deploy";
import { attestRun } from "manyhands/onchain/attest";
import { type Address, type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { plainEnvironment, tinyRun } from "../e2e/tiny-run.ts";
import { Process } from "../process.ts";
import { ask, deliver, openAnvilWith } from "./backends.ts";

export const CHAIN_ID = 7_433_000;

export function accountOf(name: string): Address {
  return toHex(`account of ${name}`.slice(0, 20), { size: 20 });
}

function keyOf(name: string): Hex {
  return keccak256(toHex(name));
}

export type PayChain = { readonly url: string; readonly registry: string; readonly dollar: string };

/** Either of the two chains, with the same contracts at the same addresses. */
export type OpenPayChain = (t: TestContext, folder: string) => Promise<PayChain>;

export const PAY_CHAINS: Readonly<Record<"local" | "anvil", OpenPayChain>> = {
  async local(t, folder) {
    const chain = start(t, ["chain", "--folder", join(folder, "chain"), "--port", "0", "--json"]);
    const [line] = await chain.says(/\{.*"url".*\}/);
    return JSON.parse(line) as PayChain;
  },
  async anvil(t) {
    // Blocks come without transactions too: on a public chain a window ends by itself.
    const free = ["--base-fee", "0", "--gas-price", "0", "--block-time", "1", "--mixed-mining"];
    const chain = await openAnvilWith(CHAIN_ID, free);
    t.after(() => chain.close());
    const at: Record<string, string> = {};
    for (const { name, address, raw } of await deploymentsOn(CHAIN_ID)) {
      await deliver(chain.url, raw);
      at[name] = address;
    }
    // Its tips are not free.
    const { address } = privateKeyToAccount(keyOf("owner"));
    await ask(chain.url, "anvil_setBalance", [address, "0xde0b6b3a7640000"]);
    return { url: chain.url, registry: at["registry"] ?? "", dollar: at["dollar"] ?? "" };
  },
};

export type Stage = PayChain & {
  readonly t: TestContext;
  readonly folder: string;
  readonly out: string;
  readonly keys: Readonly<Record<"owner" | "one" | "two", string>>;
};

export function start(t: TestContext, args: readonly string[]): Process {
  const child = new Process(args, { environment: plainEnvironment() });
  t.after(() => (child.running ? child.kill() : undefined));
  return child;
}

export async function done(t: TestContext, args: readonly string[], code = 0): Promise<string> {
  const child = start(t, args);
  equal((await child.exit).code, code, child.output);
  return child.output;
}

export type Terms = {
  readonly open: OpenPayChain;
  readonly tokens: number;
  readonly workersMin: number;
  readonly settleEvery: number;
};

export async function setUp(t: TestContext, terms: Terms): Promise<Stage> {
  const folder = await tinyRun(t, terms.tokens, `  workersMin: ${terms.workersMin}`);
  const chain = await terms.open(t, folder);
  const keys = { owner: "", one: "", two: "" };
  const addresses: string[] = [];
  for (const name of ["owner", "one", "two"] as const) {
    keys[name] = join(folder, `${name}.key`);
    await writeFile(keys[name], `${keyOf(name)}\n`);
    if (name !== "owner") addresses.push(`    - "${privateKeyToAccount(keyOf(name)).address}"`);
  }
  const lines = [
    "pay:",
    "  chain: local",
    "  unitsPerMillionTokens: 7_000_003".replaceAll("_", ""),
    "  shares: { training: 0.8, data: 0.15, storage: 0.05 }",
    `  dataAccount: "${accountOf("data")}"`,
    `  storageAccount: "${accountOf("storage")}"`,
    `  settleEvery: ${terms.settleEvery}`,
    "  challengeWindow: 1s",
    "  attestors:",
    ...addresses,
  ];
  await appendFile(join(folder, "run.yaml"), `${lines.join("\n")}\n`);
  const out = join(folder, "out");
  return { t, folder, out, keys, ...chain };
}

export async function owner(
  out: string,
  joinUrl: string,
  wish: "pause" | "resume" | "stop",
): Promise<void> {
  const { ownerToken } = JSON.parse(await readFile(join(out, "keys.json"), "utf8"));
  const headers = { authorization: `Bearer ${ownerToken}` };
  const answer = await fetch(`${joinUrl.replace(/#.*/, "")}/${wish}`, { method: "POST", headers });
  equal(answer.status, 200);
}

export function device(stage: Stage, joinUrl: string, name: string, paid: boolean): Process {
  const payTo = paid ? ["--pay-to", accountOf(name)] : [];
  const folder = join(stage.folder, name);
  const more = ["--folder", folder, "--name", name, "--threads", "1", "--compute", "cpu"];
  return start(stage.t, ["join", joinUrl, ...more, ...payTo]);
}

type Entry = { readonly sequence: number; readonly attestors: readonly string[] };

/** Both attestors sign what waits for them. Often nobody answers. @returns how many signatures */
export async function attestAll(
  { url: rpc, keys }: Pick<Stage, "url" | "keys">,
  joinUrl: string,
  stop: AbortSignal,
): Promise<number> {
  let signatures = 0;
  const headers = { authorization: `Bearer ${joinUrl.replace(/.*#/, "")}` };
  for (; !stop.aborted; await sleep(100)) {
    const list = await fetch(`${joinUrl.replace(/#.*/, "")}/settlements`, { headers })
      .then((answer) => answer.json() as Promise<readonly Entry[]>)
      .catch(() => []); // it is dead
    const newest = list.at(-1);
    if (!newest || newest.attestors.length === 2) continue;
    for (const key of [keys.one, keys.two]) {
      await attestRun(joinUrl, { rpc, key }).then(
        () => signatures++,
        (caught: Error) => match(caught.message, /no answer from/),
      );
    }
  }
  return signatures;
}
