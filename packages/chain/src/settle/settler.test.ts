// A run's money on a local chain, with processes that die at every step: everybody is paid once.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { compareText } from "@manyhands/base/bytes";
import type { Pay } from "@manyhands/protocol/pay";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import { type Address, getAddress, keccak256, toHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { LocalChain } from "../local/chain.ts";
import { deployContracts } from "../local/deploy.ts";
import { serveChain } from "../local/server.ts";
import { ChainClient } from "./client.ts";
import { Contracts } from "./contracts.ts";
import { Journal } from "./journal.ts";
import { type Bundle, postingOf } from "./ledger.ts";
import { signPosting } from "./posting.ts";
import { type OnStep, Sender } from "./sender.ts";
import { bundleOf, Settler, takeSignature } from "./settler.ts";

const LIMIT = { timeout: 60_000 };
const CHAIN_ID = 7_433_002;
const WINDOW = 60;
const BUDGET = 1_000_000n;
const keyed = (name: string): PrivateKeyAccount => privateKeyToAccount(keccak256(toHex(name)));
const owner = keyed("owner");
const attestors = ["one", "two"].map(keyed);
const hexOf = (address: string): string => address.slice(2).toLowerCase();
const ACCOUNTS = Array.from({ length: 3 }, (_, i) => hexOf(toHex(0xacc000 + i, { size: 20 })));

/** A chain, and what its run owes: three accounts, more with every round. */
class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), "manyhands-settle-"));
  readonly contracts: Contracts;
  readonly pay: Pay;
  readonly pass: (seconds: number) => void;
  round = 0;

  constructor(contracts: Contracts, pass: (seconds: number) => void) {
    this.contracts = contracts;
    this.pass = pass;
    this.pay = {
      ...TEST_PAY,
      chain: {
        chainId: CHAIN_ID,
        registry: hexOf(contracts.registry),
        token: hexOf(contracts.token),
      },
      attestors: attestors.map(({ address }) => hexOf(address)).toSorted(compareText),
      challengeWindowSeconds: WINDOW,
      settleEvery: 2,
    };
  }

  owed(index: number, round = this.round): bigint {
    return BigInt((index + 1) * 100 * (round + 1));
  }

  bundleWithin = (funded: bigint, place: Pick<Bundle, "onChainRunId" | "sequence">) => {
    for (let { round } = this; round >= 0; round--) {
      const accounts = ACCOUNTS.map((account, i) => ({
        account,
        cumulative: String(this.owed(i, round)),
      }));
      const total = accounts.reduce((sum, { cumulative }) => sum + BigInt(cumulative), 0n);
      if (total > funded) continue;
      const root = hexOf(keccak256(toHex(`round ${round}`)));
      const roots = { head: root, roundsRoot: root, weightsRoot: root, runId: "ab".repeat(32) };
      const form = "manyhands settlement 1" as const;
      return { form, ...roots, ...place, round, rows: round + 1, accounts, total: `${total}` };
    }
    return null;
  };

  /** A process that settles, until it ends. */
  async settling<T>(work: (settler: Settler, journal: Journal) => Promise<T>, onStep?: OnStep) {
    const journal = Journal.open(join(this.folder, "settle.sqlite"));
    try {
      const { contracts, pay, bundleWithin } = this;
      const sender = new Sender({ client: contracts.client, journal, account: owner, onStep });
      const runId = "ab".repeat(32);
      return await work(
        new Settler({
          ...{ runId, pay, contracts, journal, sender, bundleWithin },
          roundsClosed: () => this.round + 1,
        }),
        journal,
      );
    } finally {
      journal.close();
    }
  }

  /** What attestors do about the settlement that waits for them. */
  async sign(journal: Journal): Promise<void> {
    const stored = journal.settlements().at(-1);
    assert.ok(stored);
    const domain = { chainId: CHAIN_ID, settlement: this.contracts.settlement };
    for (const attestor of attestors) {
      const signature = await signPosting(attestor, postingOf(bundleOf(stored)), domain);
      await takeSignature({ journal, pay: this.pay, ...domain }, stored.sequence, signature);
    }
  }

  async paid(): Promise<readonly bigint[]> {
    const accounts = ACCOUNTS.map((hex): Address => getAddress(`0x${hex}`));
    return Promise.all(accounts.map((account) => this.contracts.balance(account)));
  }

  all(): readonly bigint[] {
    return ACCOUNTS.map((_, i) => this.owed(i));
  }
}

async function openScene(t: TestContext): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-chain-"));
  let seconds = 1_800_000_000;
  const path = join(folder, "chain.sqlite");
  const chain = await LocalChain.open({ path, chainId: CHAIN_ID, now: () => seconds });
  const at = await deployContracts(chain);
  const server = await serveChain(chain);
  const client = await ChainClient.open({ url: server.url, chainId: CHAIN_ID, pollMs: 1 });
  const place = { registry: hexOf(at.registry), token: hexOf(at.dollar) };
  const scene = new Scene(await Contracts.open(client, place), (more) => {
    seconds += more;
  });
  t.after(async () => {
    await server.close();
    await chain.close();
    rmSync(folder, { recursive: true });
    rmSync(scene.folder, { recursive: true });
  });
  await assert.rejects(ChainClient.open({ url: server.url, chainId: 1 }), /chain 7433002.*on 1/);
  const journal = Journal.open(join(folder, "mint.sqlite"));
  const sender = new Sender({ client, journal, account: owner });
  await sender.once("mint", scene.contracts.tokenCall("mint", owner.address, BUDGET));
  journal.close();
  return scene;
}

test("a run is made, funded, settled twice and paid to the last unit", LIMIT, async (t) => {
  const scene = await openScene(t);
  await scene.settling(async (settler, journal) => {
    assert.deepEqual(await settler.advance(false), { kind: "not-created" });
    await settler.fund(BUDGET);
    assert.deepEqual(await settler.advance(false), { kind: "nothing-new" }, "one round of two");
    scene.round = 1;
    const waits = await settler.advance(false);
    assert.deepEqual(waits, { kind: "signatures", sequence: 1, missing: 2 });
    assert.throws(() => Journal.open(join(scene.folder, "settle.sqlite")), /another process/);
    const { pay, contracts } = scene;
    const taking = { journal, pay, settlement: contracts.settlement };
    const posting = postingOf(bundleOf(journal.settlements()[0] ?? { bundle: "" }));
    const domain = { chainId: CHAIN_ID, settlement: contracts.settlement };
    for (const [who, where, what] of [
      [owner, domain, posting],
      [attestors[0] ?? owner, { ...domain, chainId: 1 }, posting],
      [attestors[0] ?? owner, domain, { ...posting, total: posting.total + 1n }],
    ] as const) {
      const signature = await signPosting(who, what, where);
      await assert.rejects(takeSignature(taking, 1, signature), /not an attestor's/);
    }
    await assert.rejects(takeSignature(taking, 1, "0x1234"), /not an attestor's/);
    await assert.rejects(takeSignature(taking, 2, "0x1234"), /no settlement 2/);
    await scene.sign(journal);
    assert.equal((await settler.advance(false)).kind, "window");
    assert.deepEqual(await scene.paid(), [0n, 0n, 0n], "nothing in the window");
    scene.pass(WINDOW);
    assert.equal((await settler.advance(false)).kind, "paid");
    assert.deepEqual(await scene.paid(), scene.all());
    scene.round = 2;
    assert.equal((await settler.advance(false)).kind, "paid", "one round of two");
    assert.equal((await settler.advance(true)).kind, "signatures");
    await scene.sign(journal);
    await settler.advance(false);
    scene.pass(WINDOW);
    await settler.advance(false);
    assert.deepEqual(await scene.paid(), scene.all());
    const { funded, paid } = await contracts.run(1);
    assert.equal(await contracts.balance(contracts.registry), funded - paid);
  });
});

test("a run that owes more than it has settles the last round that fits", LIMIT, async (t) => {
  const scene = await openScene(t);
  await scene.settling(async (settler, journal) => {
    await settler.fund(700n);
    scene.round = 5;
    await settler.advance(true);
    assert.equal(journal.settlements().at(-1)?.round, 0, "600 units fit, 1,200 do not");
  });
});

const STEPS = ["before-signing", "signed", "sent", "mined"] as const;

for (const step of STEPS) {
  test(`a process that dies at "${step}", every time: once all the same`, LIMIT, async (t) => {
    const scene = await openScene(t);
    scene.round = 1;
    let deaths = 0;
    /** Each transaction's process dies at the step once; the next one comes through. */
    const lives = async (work: (settler: Settler, journal: Journal) => Promise<unknown>) => {
      const met = new Set<string>();
      for (;;) {
        let mined = (): number => 0;
        const dies: OnStep = (at) => {
          const mark = `${mined()} ${at}`;
          if (at !== step || met.has(mark)) return;
          met.add(mark);
          deaths += 1;
          throw new Error("killed");
        };
        try {
          return await scene.settling((settler, journal) => {
            const isMined = ({ state }: { readonly state: string }): boolean => state === "mined";
            mined = () => journal.transactions().filter(isMined).length;
            return work(settler, journal);
          }, dies);
        } catch (caught) {
          assert.equal((caught as Error).message, "killed");
        }
      }
    };
    await lives((settler) => settler.fund(BUDGET));
    await lives((settler) => settler.advance(false));
    await scene.settling((_, journal) => scene.sign(journal));
    await lives((settler) => settler.advance(false));
    scene.pass(WINDOW);
    await lives((settler) => settler.advance(false));
    assert.ok(deaths === 5, `${deaths} deaths`);
    assert.deepEqual(await scene.paid(), scene.all());
    const { funded, paid } = await scene.contracts.run(1);
    assert.deepEqual([funded, paid], [BUDGET, scene.all().reduce((sum, one) => sum + one, 0n)]);
    assert.equal(await scene.contracts.nextSequence(1), 2, "one settlement");
  });
}
