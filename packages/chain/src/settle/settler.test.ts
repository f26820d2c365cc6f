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
import { Funding } from "./funding.ts";
import { Journal } from "./journal.ts";
import { type Bundle, postingOf } from "./ledger.ts";
import { Owner } from "./owner.ts";
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

type Living = { readonly journal: Journal; readonly funding: Funding; readonly owner: Owner };

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
  async settling<T>(work: (settler: Settler, process: Living) => Promise<T>, onStep?: OnStep) {
    const journal = Journal.open(join(this.folder, "settle.sqlite"));
    try {
      const { contracts, pay, bundleWithin } = this;
      const sender = new Sender({ client: contracts.client, journal, account: owner, onStep });
      const parts = { runId: "ab".repeat(32), pay, contracts, journal, sender };
      const roundsClosed = () => this.round + 1;
      const living = { journal, funding: new Funding(parts), owner: new Owner(parts) };
      return await work(new Settler({ ...parts, bundleWithin, roundsClosed }), living);
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
  await scene.settling(async (settler, { journal, funding }) => {
    assert.deepEqual(await settler.advance(false), { kind: "not-created" });
    await funding.fund(BUDGET);
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
  await scene.settling(async (settler, { journal, funding }) => {
    await funding.fund(700n);
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
    const lives = async (work: (settler: Settler, living: Living) => Promise<unknown>) => {
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
          return await scene.settling((settler, living) => {
            const isMined = ({ state }: { readonly state: string }): boolean => state === "mined";
            mined = () => living.journal.transactions().filter(isMined).length;
            return work(settler, living);
          }, dies);
        } catch (caught) {
          assert.equal((caught as Error).message, "killed");
        }
      }
    };
    await lives((_, { funding }) => funding.fund(BUDGET));
    await lives((settler) => settler.advance(false));
    await scene.settling((_, { journal }) => scene.sign(journal));
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

const ENDING = { weightsRoot: "cd".repeat(32), isOver: true, owed: 0n };

test(
  "the owner pauses, finishes and takes the rest back; each refusal has its sentence",
  LIMIT,
  async (t) => {
    const scene = await openScene(t);
    await scene.settling(async (settler, { journal, funding, owner: own }) => {
      await assert.rejects(own.finish(ENDING, false), /not on its chain yet/);
      assert.equal(await funding.fund(BUDGET / 2n), "approve");
      assert.equal(await funding.fund(BUDGET / 2n, "permit"), "permit");
      assert.equal((await scene.contracts.run(1)).funded, BUDGET);
      await assert.rejects(own.setPaused(false), /the run is not paused/);
      await own.setPaused(true);
      await assert.rejects(own.setPaused(true), /paused already/);
      scene.round = 1;
      await settler.advance(true);
      await scene.sign(journal);
      assert.deepEqual(await settler.advance(true), { kind: "closed", why: "paused" });
      await own.setPaused(false);
      const owed = scene.all().reduce((sum, one) => sum + one, 0n);
      const stranger = new Sender({
        ...{ client: scene.contracts.client, journal, account: attestors[0] ?? owner },
      });
      const other = new Owner({ contracts: scene.contracts, journal, sender: stranger });
      await assert.rejects(other.finish(ENDING, true), /only the run's owner may do that: 0x/);
      await assert.rejects(other.reclaim(ENDING, true), /only the run's owner/);
      await assert.rejects(own.reclaim(ENDING, false), /not finished/);
      await assert.rejects(own.finish({ ...ENDING, isOver: false }, false), /still trains/);
      const late = { ...ENDING, owed };
      await assert.rejects(own.finish(late, false), /still owed 1200 of the token's/);
      assert.equal((await settler.advance(true)).kind, "window");
      await own.finish(late, false);
      await assert.rejects(own.finish(late, true), /finished on its chain already/);
      await assert.rejects(own.reclaim(late, false), /not before 2027-.*TooEarly/);
      scene.pass(3 * WINDOW + 1);
      await assert.rejects(own.reclaim({ ...late, owed: owed + 7n }, false), /still owed 7 of/);
      assert.deepEqual(await own.reclaim(late, false), { amount: BUDGET - owed, kept: owed });
      await assert.rejects(own.reclaim(late, false), /nothing is left to take back/);
      await settler.advance(true);
      assert.deepEqual(await scene.paid(), scene.all(), "the workers' part was never the owner's");
      assert.equal(await scene.contracts.balance(owner.address), BUDGET - owed);
      assert.equal(await scene.contracts.balance(scene.contracts.registry), 0n);
      scene.round = 3;
      await settler.advance(true);
      assert.equal(journal.settlements().length, 1, "more than is left: nothing to settle");
      await assert.rejects(funding.fund(5n), /ERC20|finished/);
    });
  },
);
