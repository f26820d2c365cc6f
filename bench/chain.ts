// Gas of what a run does on a chain, what that costs under stated prices, and how fast the local
// chain is. Gas is the same on anvil: npm run test:chain compares.
// Usage: npm run bench:chain   writes bench/results/chain.json and chain.md
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { arch, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { defined } from "@manyhands/base/assert";
import { LocalChain } from "@manyhands/chain/local/chain";
import { deployContracts } from "@manyhands/chain/local/deploy";
import { type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { openLocal } from "../test/chain/backends.ts";
import { type Line, Play } from "../test/chain/play.ts";
import { Process } from "../test/process.ts";

const RESULTS = join(import.meta.dirname, "results");
const BATCH = 50;

/** Prices are assumed, not fetched: a rollup on an ordinary day, and Ethereum itself. */
const PRICES = [
  { where: "rollup, 0.02 gwei", gweiPerGas: 0.02 },
  { where: "rollup, busy, 0.1 gwei", gweiPerGas: 0.1 },
  { where: "Ethereum, 1 gwei", gweiPerGas: 1 },
] as const;
const DOLLARS_PER_ETHER = 3_000;
const WORKERS = [10, 1_000, 100_000] as const;
const SETTLEMENTS_PER_MONTH = 30 * 24;
const CLAIMS_PER_MONTH = 4;

type Gas = Readonly<
  Record<"create" | "fund" | "settle" | "firstClaim" | "claim" | "deploy", number>
>;

async function gasOfALife(): Promise<Gas> {
  const chain = await openLocal();
  try {
    const lines = await (await Play.on(chain)).whole();
    return {
      deploy: gasOf(lines, "deploy RunRegistry"),
      create: gasOf(lines, "create run 2"),
      fund: gasOf(lines, "fund"),
      settle: gasOf(lines, "post, five attestors, later"),
      firstClaim: gasOf(lines, "claim 49 of 50, first") / (BATCH - 1),
      claim: gasOf(lines, "claim 50, later") / BATCH,
    };
  } finally {
    await chain.close();
  }
}

function gasOf(lines: readonly Line[], step: string): number {
  const line = defined(
    lines.find((one) => one.step === step),
    step,
  );
  return Number(/(\d+) gas/.exec(line.outcome)?.[1]);
}

const sender = privateKeyToAccount(keccak256(toHex("bench")));

async function localChain() {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-bench-chain-"));
  const options = { path: join(folder, "chain.sqlite"), chainId: 99, now: () => 1_800_000_000 };
  try {
    const first = await LocalChain.open(options);
    await deployContracts(first);
    const oneByOne = await rate(first, 100, 0, 1);
    const atOnce = await rate(first, 400, 100, 20);
    const rssMiB = process.memoryUsage.rss() / 2 ** 20;
    await first.close();
    const start = performance.now();
    const again = await LocalChain.open(options);
    const openMs = performance.now() - start;
    await again.close();
    return { oneByOne, atOnce, openMs, rssMiB };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Until `manyhands chain` has said where it is; the first time it deploys the contracts. */
async function startSeconds(): Promise<{ readonly first: number; readonly again: number }> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-bench-start-"));
  const once = async (): Promise<number> => {
    const begin = performance.now();
    const chain = new Process(["chain", "--folder", folder, "--port", "0", "--json"]);
    await chain.says(/"url"/);
    const seconds = (performance.now() - begin) / 1_000;
    await chain.kill();
    return seconds;
  };
  try {
    return { first: await once(), again: await once() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Transfers per second that are in a block on the disk, so many on their way at a time. */
async function rate(
  chain: LocalChain,
  count: number,
  first: number,
  lanes: number,
): Promise<number> {
  const raws: Hex[] = [];
  for (let nonce = first; nonce < first + count; nonce++) {
    const fees = { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
    const to = sender.address;
    raws.push(
      await sender.signTransaction({
        type: "eip1559",
        chainId: 99,
        nonce,
        gas: 21_000n,
        to,
        ...fees,
      }),
    );
  }
  const start = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let raw = raws[next++]; raw !== undefined; raw = raws[next++]) await chain.send(raw);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (1_000 * count) / (performance.now() - start);
}

function dollars(gas: number, gweiPerGas: number): number {
  return gas * gweiPerGas * 1e-9 * DOLLARS_PER_ETHER;
}

function money(value: number): string {
  return value >= 0.01 ? `$${value.toFixed(2)}` : `$${value.toPrecision(2)}`;
}

function costTable(gas: Gas): string {
  const rows = WORKERS.map((workers) => {
    const perMonth = SETTLEMENTS_PER_MONTH * gas.settle + CLAIMS_PER_MONTH * workers * gas.claim;
    const cells = PRICES.map(({ gweiPerGas }) => money(dollars(perMonth / workers, gweiPerGas)));
    return `| ${workers.toLocaleString("en")} | ${cells.join(" | ")} |`;
  });
  const head = `| workers | ${PRICES.map(({ where }) => where).join(" | ")} |`;
  return [head, `| ---: |${" ---: |".repeat(PRICES.length)}`, ...rows].join("\n");
}

async function main(): Promise<void> {
  const gas = await gasOfALife();
  const start = await startSeconds();
  const local = await localChain();
  const processor = `${cpus()[0]?.model ?? "?"} × ${cpus().length}, ${arch()}`;
  const machine = `${processor}, Node ${process.version}`;
  const date = new Date().toISOString().slice(0, 10);
  const goal = (value: number, most: number): string =>
    `${Math.round(value).toLocaleString("en")} | ${value <= most ? "met" : "missed"}`;
  const number = (value: number): string => `${Math.round(value).toLocaleString("en")} |`;
  const text = [
    "# Chain: gas, costs, speed",
    `${machine}, ${date}, \`npm run bench:chain\`. The token is a plain ERC-20 with 6 decimals.`,
    [
      "| what | gas | goal |",
      "| --- | ---: | --- |",
      `| settlement, 5 attestors, steady (goal ≤ 100,000) | ${goal(gas.settle, 100_000)} |`,
      `| claim, batched by 50, later ones, each (goal ≤ 30,000) | ${goal(gas.claim, 30_000)} |`,
      `| claim, batched by 50, an account's first (a new balance) | ${number(gas.firstClaim)} |`,
      `| create a run | ${number(gas.create)} |`,
      `| fund a run | ${number(gas.fund)} |`,
      `| deploy registry, settlement and rewards, once | ${number(gas.deploy)} |`,
    ].join("\n"),
    "## Per worker and month",
    `One settlement an hour, one batched claim a week and worker, $${DOLLARS_PER_ETHER} per ` +
      "Ether. Prices are assumed. A rollup's fee for data is left out: about as much again on " +
      "an ordinary day.",
    costTable(gas),
    "## The local chain",
    [
      "| | |",
      "| --- | ---: |",
      `| transfers per second, one by one, each on the disk | ${Math.round(local.oneByOne)} |`,
      `| transfers per second, 20 on their way | ${Math.round(local.atOnce)} |`,
      `| \`manyhands chain\`, until it answers: from nothing | ${start.first.toFixed(1)} s |`,
      `| the same again | ${start.again.toFixed(1)} s |`,
      `| of it: the file opened, with 500 transactions | ${Math.round(local.openMs)} ms |`,
      `| memory of the process | ${Math.round(local.rssMiB)} MiB |`,
    ].join("\n"),
  ];
  writeFileSync(join(RESULTS, "chain.md"), `${text.join("\n\n")}\n`);
  const facts = { machine, date, prices: PRICES, gas, start, local };
  writeFileSync(join(RESULTS, "chain.json"), `${JSON.stringify(facts, null, 2)}\n`);
  console.log(text.join("\n\n"));
}

await main();
