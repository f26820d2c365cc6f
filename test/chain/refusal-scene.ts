// A run on a chain with one settlement that is final and paid, and everybody's keys: what the
// table of refusals needs. Not what is refused: refusals.test.ts.
import { equal, fail, ok } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { artefact } from "@manyhands/chain/artefacts";
import { deploymentsOn } from "@manyhands/chain/local/deploy";
import { ChainClient, type View } from "@manyhands/chain/settle/client";
import { Contracts } from "@manyhands/chain/settle/contracts";
import { Funding } from "@manyhands/chain/settle/funding";
import { Journal } from "@manyhands/chain/settle/journal";
import { type Bundle, creditTreeOf, postingOf } from "@manyhands/chain/settle/ledger";
import { endorsementOf, type Posting, signPosting } from "@manyhands/chain/settle/posting";
import { Sender } from "@manyhands/chain/settle/sender";
import { attestorsOf, bundleOf, Settler, takeSignature } from "@manyhands/chain/settle/settler";
import type { Pay } from "@manyhands/protocol/pay";
import { type Address, encodeFunctionData, type Hex, parseEventLogs } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { ask, CHAIN_ID, deliver, type TestChain } from "./backends.ts";
import { hexOf, keyed, owed, payOf, WINDOW } from "./settle-play.ts";

export const BUDGET = 50_000n;
export const RUN_ID = "ab".repeat(32);
const GAS = 2_000_000n;

export class RefusalScene {
  readonly chain: TestChain;
  readonly contracts: Contracts;
  readonly journal: Journal;
  readonly settler: Settler;
  readonly sender: Sender;
  readonly pay: Pay;
  readonly folder: string;
  readonly attestors = ["one", "two"].map(keyed);
  /** Whatever the log would say; null: by the rounds, as far as the funds go. */
  bundle: ((place: Pick<Bundle, "onChainRunId" | "sequence">) => Bundle) | null = null;
  round = 0;

  private constructor(chain: TestChain, contracts: Contracts, folder: string) {
    this.chain = chain;
    this.contracts = contracts;
    this.folder = folder;
    const { client, registry, token } = contracts;
    const place = { folder, url: chain.url, chainId: CHAIN_ID, registry, token, round: 0 };
    this.pay = payOf(place);
    this.journal = Journal.open(join(folder, "settle.sqlite"));
    this.sender = new Sender({ client, journal: this.journal, account: keyed("owner") });
    const { pay, journal, sender } = this;
    this.settler = new Settler({
      ...{ runId: RUN_ID, pay, contracts, journal, sender },
      roundsClosed: () => this.round + 1,
      bundleWithin: (funded, at) => {
        if (this.bundle) return this.bundle(at);
        for (let { round } = this; round >= 0; round--) {
          const bundle = this.bundleAt(round, at);
          if (BigInt(bundle.total) <= funded) return bundle;
        }
        return null;
      },
    });
  }

  static async open(chain: TestChain): Promise<RefusalScene> {
    const { url } = chain;
    if ((await ask(url, "eth_maxPriorityFeePerGas", [])) !== "0x0") {
      await ask(url, "anvil_setBalance", [keyed("owner").address, "0xde0b6b3a7640000"]);
    }
    const deployments = await deploymentsOn(CHAIN_ID);
    for (const { raw } of deployments) await deliver(url, raw);
    const client = await ChainClient.open({ url, chainId: CHAIN_ID, pollMs: 5 });
    const [registry, , token] = deployments.map(({ address }) => hexOf(address));
    const contracts = await Contracts.open(client, {
      registry: registry ?? "",
      token: token ?? "",
    });
    const folder = mkdtempSync(join(tmpdir(), "manyhands-refusals-"));
    const scene = new RefusalScene(chain, contracts, folder);
    await scene.#begin();
    return scene;
  }

  /** Run 1 and another one, funded; a first settlement, final and paid. */
  async #begin(): Promise<void> {
    const { contracts, sender, journal, pay, settler } = this;
    const { address } = sender.account;
    await sender.once("mint", contracts.tokenCall("mint", address, BUDGET));
    const funding = new Funding({ runId: RUN_ID, pay, contracts, journal, sender });
    await funding.fund(BUDGET);
    equal(await this.make("other", { configHash: `0x${"cd".repeat(32)}` }), 2);
    await settler.advance(true);
    await this.sign();
    await settler.advance(true);
    await this.chain.wait(WINDOW);
    equal((await settler.advance(true)).kind, "paid");
  }

  /** A run like the first one, but for what is changed. @returns its number */
  async make(name: string, changes: Readonly<Record<string, unknown>>): Promise<number> {
    const { contracts, pay, sender } = this;
    const config = {
      ...{ token: contracts.token, challengeWindow: BigInt(WINDOW), threshold: pay.threshold },
      ...{ attestors: attestorsOf(pay), configHash: `0x${RUN_ID}` },
      ...{ datasetRoot: `0x${"00".repeat(32)}`, ...changes },
    };
    const call = contracts.registryCall("createRun", config);
    const { logs } = await sender.once(`make ${name}`, call);
    const { abi } = artefact("RunRegistry");
    const [made] = parseEventLogs({ abi, eventName: "RunCreated", logs: [...logs] });
    const { runId } = (made ?? fail("it was made")).args as unknown as { runId: bigint };
    return Number(runId);
  }

  /** Both attestors sign what the settler waits for. */
  async sign(count = this.attestors.length): Promise<void> {
    const stored = this.journal.settlements().at(-1);
    ok(stored);
    for (const attestor of this.attestors.slice(0, count)) {
      const signature = await this.signature(attestor, postingOf(bundleOf(stored)));
      await this.take(stored.sequence, signature);
    }
  }

  signature(who: PrivateKeyAccount, posting: Posting, chainId = CHAIN_ID): Promise<Hex> {
    return signPosting(who, posting, { chainId, settlement: this.contracts.settlement });
  }

  take(sequence: number, signature: Hex): Promise<Address> {
    const { journal, pay, contracts } = this;
    return takeSignature({ journal, pay, settlement: contracts.settlement }, sequence, signature);
  }

  bundleAt(round: number, place: Pick<Bundle, "onChainRunId" | "sequence">): Bundle {
    const root = "5e".repeat(32);
    const roots = { head: root, roundsRoot: root, weightsRoot: root, runId: RUN_ID };
    const accounts = owed(round).map(([account, units]) => ({ account, cumulative: `${units}` }));
    const total = owed(round).reduce((sum, [, units]) => sum + units, 0n);
    const form = "manyhands settlement 1" as const;
    return { form, ...roots, ...place, round, rows: round + 1, accounts, total: `${total}` };
  }

  posting(changes: Partial<Posting> = {}): Posting {
    const next = postingOf(this.bundleAt(1, { onChainRunId: 1, sequence: 2 }));
    return { ...next, ...changes };
  }

  /** As the contract takes it, signed by these for that. */
  async post(
    posting: Posting,
    signers: ReadonlyMap<Address, Promise<Hex>> | null = null,
  ): Promise<View> {
    const both = () =>
      new Map(this.attestors.map((who) => [who.address, this.signature(who, posting)]));
    const signatures = new Map<Address, Hex>();
    for (const [who, signature] of signers ?? both()) signatures.set(who, await signature);
    const endorsement = endorsementOf(attestorsOf(this.pay), this.pay.threshold, signatures);
    return this.contracts.settlementCall("post", posting, endorsement);
  }

  /** A claim of the first account, of what is final in round 0. */
  claim(changes: Readonly<Record<string, unknown>> = {}, round = 0): View {
    const tree = creditTreeOf(this.bundleAt(round, { onChainRunId: 1, sequence: 1 }));
    const [first] = tree.credits;
    const claim = tree.claimOf(first?.account ?? fail("an account"));
    return this.contracts.rewardsCall("claim", 1n, { ...claim, ...changes });
  }

  /** In a block, and reverted: nothing has moved. */
  async reverts(call: View): Promise<void> {
    const { sender, contracts, chain } = this;
    const { registry, client } = contracts;
    const before = await contracts.balance(registry);
    const raw = await sender.account.signTransaction({
      ...{ type: "eip1559", chainId: CHAIN_ID, gas: GAS, to: call.address },
      nonce: await client.nextNonce(sender.account.address),
      data: encodeFunctionData(call),
      ...(await client.fees()),
    });
    equal((await deliver(chain.url, raw)).status, "0x0");
    equal(await contracts.balance(registry), before);
  }

  close(): void {
    this.journal.close();
    rmSync(this.folder, { recursive: true });
  }
}
