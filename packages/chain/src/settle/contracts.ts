// The contracts of one run on its chain, by their names: what they answer, and calls to them.
// The only place that trusts the artefacts' types.
import { line } from "@manyhands/base/decode";
import {
  type AbiEvent,
  type Address,
  getAbiItem,
  getAddress,
  type Hex,
  parseEventLogs,
} from "viem";
import { artefact } from "../artefacts.ts";
import type { ChainClient, View } from "./client.ts";
import { ChainError } from "./errors.ts";

const SYMBOL_CHARS_MAX = 16;

export type OnChainRun = {
  readonly owner: Address;
  readonly challengeWindow: bigint;
  readonly paused: boolean;
  readonly token: Address;
  readonly finishedAt: bigint;
  readonly funded: bigint;
  readonly paid: bigint;
};

/** What the registry said when it made the run. */
export type Made = {
  readonly owner: Address;
  readonly token: Address;
  readonly challengeWindow: bigint;
  readonly configHash: Hex;
};

export type Settled = { readonly total: bigint; readonly sequence: number };
export type Pending = Settled & { readonly finalAt: number };

export class Contracts {
  readonly client: ChainClient;
  readonly registry: Address;
  readonly token: Address;
  readonly settlement: Address;
  readonly rewards: Address;

  private constructor(
    client: ChainClient,
    at: Record<"registry" | "token", Address>,
    more: readonly Address[],
  ) {
    this.client = client;
    this.registry = at.registry;
    this.token = at.token;
    this.settlement = more[0] ?? at.registry;
    this.rewards = more[1] ?? at.registry;
  }

  /** @param at 20 bytes each, in hex @throws ChainError if there is no registry */
  static async open(
    client: ChainClient,
    at: { readonly registry: string; readonly token: string },
  ): Promise<Contracts> {
    const addresses = {
      registry: getAddress(`0x${at.registry}`),
      token: getAddress(`0x${at.token}`),
    };
    const { abi } = artefact("RunRegistry");
    for (const address of Object.values(addresses)) {
      if (await client.isContract(address)) continue;
      throw new ChainError(`there is no contract at ${address} on chain ${client.chainId}`, {
        hint: "On a local chain `manyhands chain` deploys them; else check the run's pay.chain.",
      });
    }
    const more: Address[] = [];
    for (const functionName of ["settlement", "rewards"]) {
      const found = await client.read({ address: addresses.registry, abi, functionName });
      more.push(found as Address);
    }
    return new Contracts(client, addresses, more);
  }

  registryCall(functionName: string, ...args: unknown[]): View {
    return { address: this.registry, abi: artefact("RunRegistry").abi, functionName, args };
  }

  settlementCall(functionName: string, ...args: unknown[]): View {
    return { address: this.settlement, abi: artefact("Settlement").abi, functionName, args };
  }

  rewardsCall(functionName: string, ...args: unknown[]): View {
    return { address: this.rewards, abi: artefact("Rewards").abi, functionName, args };
  }

  tokenCall(functionName: string, ...args: unknown[]): View {
    return { address: this.token, abi: artefact("TestDollar").abi, functionName, args };
  }

  async run(id: number): Promise<OnChainRun> {
    return (await this.client.read(this.registryCall("getRun", BigInt(id)))) as OnChainRun;
  }

  /** Null if the registry has made no run of this number. */
  async made(id: number): Promise<Made | null> {
    const { abi } = artefact("RunRegistry");
    const event = getAbiItem({ abi, name: "RunCreated" }) as AbiEvent;
    const args = { runId: BigInt(id) };
    const found = await this.client.logs({ address: this.registry, event, args });
    const [made] = parseEventLogs({ abi, eventName: "RunCreated", logs: [...found] });
    return (made?.args as Made | undefined) ?? null;
  }

  /** Whether it takes settlements now. */
  async isOpen(id: number): Promise<boolean> {
    const answer = await this.client.read(this.registryCall("settlementFacts", BigInt(id)));
    return (answer as readonly unknown[])[3] === true;
  }

  /** What counts as its attestors now: a hash over threshold and list. */
  async attestorsHash(id: number): Promise<Hex> {
    const answer = await this.client.read(this.registryCall("settlementFacts", BigInt(id)));
    return (answer as readonly [Hex])[0];
  }

  /** The registry that the settlement contract itself asks. */
  async settlementsRegistry(): Promise<Address> {
    return (await this.client.read(this.settlementCall("registry"))) as Address;
  }

  /** What is final now; sequence 0 before the first. */
  async settled(id: number): Promise<Settled> {
    const answer = await this.client.read(this.settlementCall("settled", BigInt(id)));
    const [, total, sequence] = answer as readonly [unknown, bigint, bigint];
    return { total, sequence: Number(sequence) };
  }

  async pending(id: number): Promise<Pending | null> {
    const answer = await this.client.read(this.settlementCall("pending", BigInt(id)));
    const { total, sequence, finalAt } = answer as Record<"total" | "sequence" | "finalAt", bigint>;
    return sequence === 0n ? null : { total, sequence: Number(sequence), finalAt: Number(finalAt) };
  }

  async nextSequence(id: number): Promise<number> {
    return Number(await this.client.read(this.settlementCall("nextSequence", BigInt(id))));
  }

  /** What an account was paid from a run, in all. */
  async claimed(id: number, account: Address): Promise<bigint> {
    return (await this.client.read(this.rewardsCall("claimed", BigInt(id), account))) as bigint;
  }

  async allowance(owner: Address): Promise<bigint> {
    return (await this.client.read(this.tokenCall("allowance", owner, this.registry))) as bigint;
  }

  /** What the token says; null if it has no such function. */
  async tokenAnswer(functionName: string, ...args: unknown[]): Promise<unknown> {
    return this.client.readIfThere(this.tokenCall(functionName, ...args));
  }

  /** How the token is written: its own words, as far as they fit on a line of a terminal. */
  async tokenWords(): Promise<{ readonly symbol: string; readonly decimals: number }> {
    const symbol = (await this.client.read(this.tokenCall("symbol"))) as string;
    const decimals = (await this.client.read(this.tokenCall("decimals"))) as number;
    const printed = line(SYMBOL_CHARS_MAX)(symbol.slice(0, SYMBOL_CHARS_MAX));
    return { symbol: printed.ok ? printed.value : "units", decimals };
  }

  async balance(account: Address): Promise<bigint> {
    return (await this.client.read(this.tokenCall("balanceOf", account))) as bigint;
  }
}
