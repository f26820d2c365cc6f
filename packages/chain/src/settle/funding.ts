// A run's money on its way in: the run is made in the registry, and paid for, with an approval or
// with the token's own signed one (ERC-2612). Not what goes out: settler.ts and owner.ts.
import { assert } from "@manyhands/base/assert";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunId } from "@manyhands/protocol/run-config";
import { type Hex, hashDomain, parseSignature } from "viem";
import type { View } from "./client.ts";
import type { Contracts } from "./contracts.ts";
import { CREATE, checkCreated, createdRun } from "./created.ts";
import type { Journal } from "./journal.ts";
import type { Sender } from "./sender.ts";
import { attestorsOf, onChainRunIdOf } from "./settler.ts";

export type FundingOptions = {
  readonly runId: RunId;
  readonly pay: Pay;
  readonly contracts: Contracts;
  readonly journal: Journal;
  readonly sender: Sender;
};

/** permit: where the token has it, and an approval where it has not. */
export type Allowing = "approve" | "permit";

/** From the chain's newest block on. */
const PERMIT_SECONDS = 86_400;
/** Of a token's EIP-712 domain: most say 1, some dollars 2. */
const VERSIONS = ["1", "2"] as const;

const PERMIT_TYPES = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
} as const;
const DOMAIN_TYPES = [
  { name: "name", type: "string" },
  { name: "version", type: "string" },
  { name: "chainId", type: "uint256" },
  { name: "verifyingContract", type: "address" },
] as const;

export class Funding {
  readonly #options: FundingOptions;

  constructor(options: FundingOptions) {
    this.#options = options;
  }

  /** The run in the registry, made now if it is not there. */
  async create(): Promise<number> {
    const { contracts, journal, sender, pay, runId } = this.#options;
    const known = onChainRunIdOf(journal);
    if (known !== null) return known;
    const config = {
      token: contracts.token,
      challengeWindow: BigInt(pay.challengeWindowSeconds),
      attestors: attestorsOf(pay),
      threshold: pay.threshold,
      configHash: `0x${runId}`,
      datasetRoot: `0x${"00".repeat(32)}`,
    };
    const receipt = await sender.once(CREATE, contracts.registryCall("createRun", config));
    const id = createdRun(receipt);
    journal.putFact("onChainRunId", String(id));
    return id;
  }

  /**
   * Pays in. An unfinished funding of the same amount is brought to its end.
   *
   * @returns how it was allowed
   */
  async fund(amount: bigint, allowing: Allowing = "approve"): Promise<Allowing> {
    const { contracts, journal, sender } = this.#options;
    assert(amount > 0n, "an amount");
    const id = await this.create();
    const begun = await this.#finishFunding(id, amount);
    if (begun) return begun;
    const done = journal
      .transactions()
      .filter(({ purpose, state }) => isFunding(purpose) && state === "mined").length;
    const number = `${done + 1}:${amount}`;
    const permitted = allowing === "permit" ? await this.#permit(id, amount) : null;
    if (permitted) {
      await sender.once(`permit:${number}`, permitted);
      return "permit";
    }
    await this.#approve(number, amount);
    await sender.once(`fund:${number}`, contracts.registryCall("fund", BigInt(id), amount));
    return "approve";
  }

  async #approve(number: string, amount: bigint): Promise<void> {
    const { contracts, sender } = this.#options;
    const { registry } = contracts;
    const allowed = await contracts.allowance(sender.account.address);
    if (allowed >= amount) return;
    // Some dollars want an old allowance taken back first.
    if (allowed > 0n) {
      await sender.once(`approve none:${number}`, contracts.tokenCall("approve", registry, 0n));
    }
    await sender.once(`approve:${number}`, contracts.tokenCall("approve", registry, amount));
  }

  /** The call with a signed permit; null if the token has none, or signs it in a way of its own. */
  async #permit(id: number, amount: bigint): Promise<View | null> {
    const { contracts, sender } = this.#options;
    const { address: owner } = sender.account;
    const token = await tokenDomain(contracts);
    const nonce = token && (await contracts.tokenAnswer("nonces", owner));
    if (!token || typeof nonce !== "bigint") return null;
    const deadline = BigInt((await contracts.client.newest()).seconds + PERMIT_SECONDS);
    const signature = await sender.account.signTypedData({
      domain: token,
      types: PERMIT_TYPES,
      primaryType: "Permit",
      message: { owner, spender: contracts.registry, value: amount, nonce, deadline },
    });
    const { r, s, yParity } = parseSignature(signature);
    const v = 27 + yParity;
    return contracts.registryCall("fundWithPermit", BigInt(id), amount, deadline, v, r, s);
  }

  /** @returns how, if an earlier command had begun to pay in this amount, and it is in now */
  async #finishFunding(id: number, amount: bigint): Promise<Allowing | null> {
    const { journal, sender } = this.#options;
    const begun = journal
      .unfinished()
      .find(({ purpose }) => isFunding(purpose) && purpose.endsWith(`:${amount}`));
    await sender.resume(checkCreated(id));
    if (!begun || journal.transaction(begun.purpose)?.state !== "mined") return null;
    return begun.purpose.startsWith("permit:") ? "permit" : "approve";
  }
}

function isFunding(purpose: string): boolean {
  return purpose.startsWith("fund:") || purpose.startsWith("permit:");
}

/** The token's EIP-712 domain, if it is the one whose hash it says. */
async function tokenDomain(contracts: Contracts) {
  const name = await contracts.tokenAnswer("name");
  const said = await contracts.tokenAnswer("DOMAIN_SEPARATOR");
  if (typeof name !== "string" || typeof said !== "string") return null;
  const { chainId } = contracts.client;
  for (const version of VERSIONS) {
    const domain = { name, version, chainId, verifyingContract: contracts.token };
    const separator: Hex = hashDomain({
      domain: { ...domain, chainId: BigInt(chainId) },
      types: { EIP712Domain: [...DOMAIN_TYPES] },
    });
    if (separator === said) return domain;
  }
  return null;
}
