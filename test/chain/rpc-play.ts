// A chain as the internet has them, for one account that mints test dollars: anvil, where blocks
// come when the test says so, and a middleman who can lie about every answer.
import { equal } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { artefact } from "@manyhands/chain/artefacts";
import { ChainClient, type ChainOptions, type View } from "@manyhands/chain/settle/client";
import { Journal, type Transaction } from "@manyhands/chain/settle/journal";
import { Sender, type SenderOptions } from "@manyhands/chain/settle/sender";
import { type Address, encodeDeployData, getContractAddress } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { ask, openAnvilWith } from "./backends.ts";
import { keyed } from "./settle-play.ts";

export const GWEI = 1_000_000_000n;
export const CHAIN = 7_433_077;
const MINTED = 1_000n;

/** What a middleman makes of an answer; undefined: nothing. */
export type Lie = (method: string, honest: unknown) => unknown;

export class Weather {
  readonly account: PrivateKeyAccount = keyed("minter");
  readonly url: string;
  readonly token: Address;
  readonly folder = mkdtempSync(join(tmpdir(), "manyhands-rpc-"));
  readonly #t: TestContext;

  private constructor(t: TestContext, url: string, token: Address) {
    this.url = url;
    this.token = token;
    this.#t = t;
    t.after(() => rmSync(this.folder, { recursive: true }));
  }

  /** The token is there, and the account has coins for gas. */
  static async begin(t: TestContext, seconds = 1_800_000_000): Promise<Weather> {
    const flags = ["--no-mining", "--base-fee", String(GWEI), "--timestamp", String(seconds)];
    const chain = await openAnvilWith(CHAIN, flags);
    t.after(() => chain.close());
    const deployer = keyed("deployer");
    for (const { address } of [deployer, keyed("minter")]) {
      await ask(chain.url, "anvil_setBalance", [address, `0x${(10n ** 20n).toString(16)}`]);
    }
    const { abi, bytecode } = artefact("TestDollar");
    const fees = { maxFeePerGas: 100n * GWEI, maxPriorityFeePerGas: GWEI };
    const raw = await deployer.signTransaction({
      ...{ type: "eip1559", chainId: CHAIN, nonce: 0, gas: 3_000_000n, ...fees },
      data: encodeDeployData({ abi, bytecode, args: [] }),
    });
    await ask(chain.url, "eth_sendRawTransaction", [raw]);
    const token = getContractAddress({ from: deployer.address, nonce: 0n });
    const weather = new Weather(t, chain.url, token);
    await weather.mine();
    return weather;
  }

  ask(method: string, ...params: readonly unknown[]): Promise<unknown> {
    return ask(this.url, method, params);
  }

  /** So many blocks, at this price. */
  async mine(blocks = 1, baseFee = GWEI): Promise<void> {
    for (let block = 0; block < blocks; block++) {
      await this.ask("anvil_setNextBlockBaseFeePerGas", `0x${baseFee.toString(16)}`);
      await this.ask("evm_mine");
    }
  }

  /** Beside the one that works. */
  transactions(): readonly Transaction[] {
    const journal = Journal.beside(join(this.folder, "settle.sqlite"));
    try {
      return journal.transactions();
    } finally {
      journal.close();
    }
  }

  /** Until the journal has so many. */
  async untilStored(count: number): Promise<readonly Transaction[]> {
    for (;;) {
      const stored = this.transactions();
      if (stored.length >= count) return stored;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Until the node has the first one, in no block yet. */
  async untilWaiting(): Promise<void> {
    const [first] = await this.untilStored(1);
    while ((await this.ask("eth_getTransactionByHash", first?.hash)) === null) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** A process of its own, as far as the sender can tell: everything it knows is in the journal. */
  async sending<T>(
    work: (sender: Sender) => Promise<T>,
    options: Partial<SenderOptions & ChainOptions> = {},
  ): Promise<T> {
    const { url = this.url, ...more } = options;
    const client = await ChainClient.open({ url, chainId: CHAIN, pollMs: 2, ...more });
    const journal = Journal.open(join(this.folder, "settle.sqlite"));
    try {
      return await work(new Sender({ client, journal, account: this.account, ...more }));
    } finally {
      journal.close();
    }
  }

  /** Mines while the work goes on. */
  async mining<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const ended = work.finally(() => {
      isOver = true;
    });
    const miner = async (): Promise<void> => {
      while (!isOver) await this.mine();
    };
    const [value] = await Promise.all([ended, miner()]);
    return value;
  }

  mint(): View {
    const { abi } = artefact("TestDollar");
    return {
      ...{ address: this.token, abi, functionName: "mint" },
      args: [this.account.address, MINTED],
    };
  }

  async minted(times: number, why: string): Promise<void> {
    const client = await ChainClient.open({ url: this.url, chainId: CHAIN });
    const { abi } = artefact("TestDollar");
    const place = { address: this.token, abi };
    const args = [this.account.address];
    const found = await client.read({ ...place, functionName: "balanceOf", args });
    equal(found, BigInt(times) * MINTED, why);
  }

  /** The same chain, by somebody who may lie. */
  async middleman(): Promise<{ readonly url: string; lie: Lie }> {
    const server = createServer((request, response) => {
      void this.#relay(request, state.lie).then(
        (text) => response.writeHead(200, { "content-type": "application/json" }).end(text),
        () => response.writeHead(502).end("<html>Bad Gateway</html>"),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const honest: Lie = () => undefined;
    const state = { url: `http://127.0.0.1:${port}`, lie: honest };
    return state;
  }

  async #relay(request: IncomingMessage, lie: Lie): Promise<string> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const asked: unknown = JSON.parse(Buffer.concat(pieces).toString());
    const calls = (Array.isArray(asked) ? asked : [asked]) as { id: number; method: string }[];
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify(calls);
    const honest = (await (await fetch(this.url, { method: "POST", headers, body })).json()) as {
      id: number;
      result?: unknown;
    }[];
    const told = honest.map((answer) => {
      const method = calls.find(({ id }) => id === answer.id)?.method ?? "";
      const lied = lie(method, answer.result);
      return lied === undefined ? answer : { jsonrpc: "2.0", id: answer.id, result: lied };
    });
    return JSON.stringify(Array.isArray(asked) ? told : told[0]);
  }
}
