// One life of a run on a chain: made, funded, settled, paid, refused what must be, finished.
// It notes gas, outcomes and logs; who compares them, and with what, is somebody else.
import { equal, fail } from "node:assert/strict";
import { artefact } from "@manyhands/chain/artefacts";
import { CreditTree } from "@manyhands/chain/settle/credit-tree";
import {
  type Endorsement,
  endorsementOf,
  inOrder,
  type Posting,
  signPosting,
} from "@manyhands/chain/settle/posting";
import {
  type Abi,
  type Address,
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  getAddress,
  type Hex,
  http,
  keccak256,
  parseEventLogs,
  toHex,
} from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { CHAIN_ID, type TestChain } from "./backends.ts";

const WINDOW = 3_600n;
const BUDGET = 1_000_000_000n;

const keyed = (name: string): PrivateKeyAccount => privateKeyToAccount(keccak256(toHex(name)));
const owner = keyed("owner");
const relayer = keyed("relayer");
const attestors = ["a", "b", "c", "d", "e"].map((name) => keyed(`attestor ${name}`));
const ATTESTORS = inOrder(attestors.map(({ address }) => address));
const worker = (index: number): Address => getAddress(toHex(0xacc000 + index, { size: 20 }));

/** Gas costs nothing on these chains, and nobody here has any Ether. */
const FREE = { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
const EVENTS = (["TestDollar", "RunRegistry", "Settlement", "Rewards"] as const).flatMap(
  (name) => artefact(name).abi,
);

export type Line = {
  readonly step: string;
  readonly outcome: string;
  readonly logs: readonly string[];
};

class Stage {
  readonly lines: Line[] = [];
  readonly chain: TestChain;
  readonly #public;
  readonly #wallet;

  constructor(chain: TestChain) {
    this.chain = chain;
    const definition = defineChain({
      id: CHAIN_ID,
      name: chain.name,
      nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
      rpcUrls: { default: { http: [chain.url] } },
    });
    const transport = http(chain.url, { retryCount: 0 });
    this.#public = createPublicClient({ chain: definition, transport, pollingInterval: 5 });
    this.#wallet = createWalletClient({ chain: definition, transport });
  }

  async deploy(name: "RunRegistry" | "TestDollar"): Promise<Address> {
    const { abi, bytecode } = artefact(name);
    const deployment = { account: owner, abi, bytecode, args: [], ...FREE };
    const hash = await this.#wallet.deployContract(deployment);
    const receipt = await this.#noted(`deploy ${name}`, hash, abi);
    return getAddress(receipt.contractAddress ?? "0x");
  }

  /** Sends it, and notes gas and logs. */
  async does(step: string, call: Call): Promise<void> {
    const hash = await this.#wallet.writeContract({ ...call, ...FREE } as never);
    const receipt = await this.#noted(step, hash, call.abi);
    equal(receipt.status, "success", step);
  }

  /** It must revert, with this error. */
  async refuses(step: string, call: Call, error: string): Promise<void> {
    try {
      await this.#public.simulateContract(call as never);
    } catch (caught) {
      const found = caught instanceof BaseError ? caught.walk(isRevert) : undefined;
      const data = (found as ContractFunctionRevertedError | undefined)?.data;
      const said = data ? `${data.errorName}(${(data.args ?? []).join(",")})` : String(caught);
      // A window's end is a time, and the chains' clocks differ.
      equal(data?.errorName, error, `${step}: ${said}`);
      this.lines.push({ step, outcome: `refused: ${error}`, logs: [] });
      return;
    }
    fail(`${step}: it was taken`);
  }

  read(call: Omit<Call, "account">): Promise<unknown> {
    return this.#public.readContract(call as never);
  }

  async #noted(step: string, hash: Hex, abi: Abi) {
    const receipt = await this.#public.waitForTransactionReceipt({ hash });
    const events = parseEventLogs({ abi: [...EVENTS, ...abi], logs: receipt.logs });
    const logs = events.map(({ eventName, args }) => `${eventName} ${plain(args)}`);
    this.lines.push({ step, outcome: `${receipt.status}, ${receipt.gasUsed} gas`, logs });
    equal(events.length, receipt.logs.length, `${step}: all events are known`);
    return receipt;
  }
}

type Call = {
  readonly account: PrivateKeyAccount;
  readonly address: Address;
  readonly abi: Abi;
  readonly functionName: string;
  readonly args: readonly unknown[];
};

function isRevert(error: unknown): boolean {
  return error instanceof ContractFunctionRevertedError;
}

/** Times are left out: the chains' clocks differ by seconds. */
function plain(args: unknown): string {
  const isTime = (key: string): boolean => key === "finalAt" || key === "effectiveAt";
  return JSON.stringify(args, (key, value) => {
    if (isTime(key)) return "time";
    return typeof value === "bigint" ? String(value) : value;
  });
}

type Contracts = Readonly<Record<"dollar" | "registry" | "settlement" | "rewards", Address>>;

/** Contracts and what is said to them. */
export class Play {
  readonly #stage: Stage;
  readonly #at: Contracts;

  private constructor(stage: Stage, at: Contracts) {
    this.#stage = stage;
    this.#at = at;
  }

  static async on(chain: TestChain): Promise<Play> {
    const stage = new Stage(chain);
    const dollar = await stage.deploy("TestDollar");
    const registry = await stage.deploy("RunRegistry");
    const part = async (functionName: string): Promise<Address> => {
      const { abi } = artefact("RunRegistry");
      return (await stage.read({ address: registry, abi, functionName, args: [] })) as Address;
    };
    const [settlement, rewards] = [await part("settlement"), await part("rewards")];
    return new Play(stage, { dollar, registry, settlement, rewards });
  }

  async whole(): Promise<readonly Line[]> {
    await this.#funding();
    await this.#badPostings();
    await this.#firstSettlement();
    await this.#laterSettlements();
    await this.#end();
    return this.#stage.lines;
  }

  async #funding(): Promise<void> {
    const stage = this.#stage;
    const config = {
      token: this.#at.dollar,
      challengeWindow: WINDOW,
      attestors: ATTESTORS,
      threshold: ATTESTORS.length,
      configHash: keccak256(toHex("run")),
      datasetRoot: keccak256(toHex("data")),
    };
    for (const run of [1, 2]) await stage.does(`create run ${run}`, this.#run("createRun", config));
    await stage.does("mint", this.#dollar("mint", owner.address, 2n * BUDGET));
    await stage.does("approve", this.#dollar("approve", this.#at.registry, 2n * BUDGET));
    await stage.does("fund", this.#run("fund", 1n, BUDGET));
    await stage.does("fund another", this.#run("fund", 2n, BUDGET));
  }

  async #badPostings(): Promise<void> {
    const stage = this.#stage;
    const few = await this.#posting({}, attestors.slice(1));
    await stage.refuses("too few signatures", this.#post(few), "TooFewSignatures");
    const good = await this.#posting({});
    const [theirs] = (await this.#posting({ total: 2n })).endorsement.signatures;
    const signatures = good.endorsement.signatures.with(0, theirs as never);
    const forged = { ...good, endorsement: { ...good.endorsement, signatures } };
    await stage.refuses("a forged signature", this.#post(forged), "WrongSigner");
    const foreign = await this.#posting({}, attestors, 1);
    await stage.refuses("signed for another chain", this.#post(foreign), "WrongSigner");
    const moved = { ...good, posting: { ...good.posting, runId: 2n } };
    await stage.refuses("signed for another run", this.#post(moved), "WrongSigner");
    const much = await this.#posting({ total: BUDGET + 1n });
    await stage.refuses("over budget", this.#post(much), "OverBudget");
  }

  async #firstSettlement(): Promise<void> {
    const stage = this.#stage;
    const tree = treeOf(1_000n);
    const posting = await this.#posting({ creditRoot: tree.root, total: tree.total });
    await stage.does("post, five attestors, first", this.#post(posting));
    const one = this.#rewards("claim", 1n, tree.claimOf(worker(0)));
    await stage.refuses("claim in the window", one, "ClaimFailed");
    const next = await this.#posting({ sequence: 2n });
    await stage.refuses("another in the window", this.#post(next), "WindowOpen");
    await stage.chain.wait(Number(WINDOW));
    await stage.refuses("the same again", this.#post(posting), "WrongSequence");
    const falling = await this.#posting({ sequence: 2n, total: tree.total - 1n });
    await stage.refuses("a falling total", this.#post(falling), "FallingTotal");
    await stage.does("claim one, first", one);
    await stage.refuses("claim it twice", one, "ClaimFailed");
    const greedy = { ...tree.claimOf(worker(1)), cumulative: 5_000n };
    await stage.refuses("a wrong proof", this.#rewards("claim", 1n, greedy), "ClaimFailed");
    await stage.does("claim 49 of 50, first", this.#rewards("claimMany", 1n, claimsOf(tree)));
  }

  async #laterSettlements(): Promise<void> {
    const stage = this.#stage;
    const [second, third] = [treeOf(3_000n), treeOf(4_000n)];
    const two = await this.#posting({ sequence: 2n, creditRoot: second.root, total: second.total });
    await stage.does("post, five attestors, second", this.#post(two));
    await stage.chain.wait(Number(WINDOW));
    const last = await this.#posting({ sequence: 3n, creditRoot: third.root, total: third.total });
    await stage.does("post, five attestors, later", this.#post(last));
    await stage.does("claim 50, later", this.#rewards("claimMany", 1n, claimsOf(second)));
  }

  async #end(): Promise<void> {
    const stage = this.#stage;
    const finish = this.#run("finish", 1n, keccak256(toHex("model")));
    await stage.refuses("not the owner", { ...finish, account: relayer }, "NotOwner");
    await stage.does("finish", finish);
    const reclaim = this.#run("reclaimUnspent", 1n);
    await stage.refuses("reclaim too early", reclaim, "TooEarly");
    await stage.chain.wait(Number(3n * WINDOW) + 1);
    await stage.does("reclaim", reclaim);
    const tree = treeOf(4_000n);
    await stage.does("claim 50, last", this.#rewards("claimMany", 1n, claimsOf(tree)));
    for (const { account, cumulative } of tree.credits) {
      equal(await stage.read(this.#dollar("balanceOf", account)), cumulative, "to the last unit");
    }
    const { registry } = this.#at;
    equal(await stage.read(this.#dollar("balanceOf", owner.address)), BUDGET - tree.total);
    equal(await stage.read(this.#dollar("balanceOf", registry)), BUDGET, "the other run's");
  }

  async #posting(changes: Partial<Posting>, signers = attestors, chainId = CHAIN_ID) {
    const posting: Posting = {
      runId: 1n,
      sequence: 1n,
      roundsRoot: keccak256(toHex("rounds")),
      creditRoot: keccak256(toHex("credit")),
      total: 1n,
      modelRoot: keccak256(toHex("model")),
      evidence: keccak256(toHex("evidence")),
      ...changes,
    };
    const domain = { chainId, settlement: this.#at.settlement };
    const signatures = new Map<Address, Hex>();
    for (const signer of signers) {
      signatures.set(signer.address, await signPosting(signer, posting, domain));
    }
    return { posting, endorsement: endorsementOf(ATTESTORS, ATTESTORS.length, signatures) };
  }

  #post({ posting, endorsement }: { posting: Posting; endorsement: Endorsement }): Call {
    const { abi } = artefact("Settlement");
    const args = [posting, endorsement];
    return { account: relayer, address: this.#at.settlement, abi, functionName: "post", args };
  }

  #run(functionName: string, ...args: unknown[]): Call {
    const { abi } = artefact("RunRegistry");
    return { account: owner, address: this.#at.registry, abi, functionName, args };
  }

  #dollar(functionName: string, ...args: unknown[]): Call {
    const { abi } = artefact("TestDollar");
    return { account: owner, address: this.#at.dollar, abi, functionName, args };
  }

  #rewards(functionName: string, ...args: unknown[]): Call {
    const { abi } = artefact("Rewards");
    return { account: relayer, address: this.#at.rewards, abi, functionName, args };
  }
}

const WORKERS = Array.from({ length: 50 }, (_, index) => worker(index));

function treeOf(unit: bigint): CreditTree {
  const credits = WORKERS.map((account, i) => ({ account, cumulative: unit * BigInt(i + 1) }));
  return new CreditTree(1n, credits);
}

function claimsOf(tree: CreditTree): readonly unknown[] {
  return WORKERS.map((account) => tree.claimOf(account));
}
