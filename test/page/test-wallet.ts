// A wallet for tests: a real key and real signatures in Node, announced to a page by EIP-6963 as an
// extension would. What it sends goes to a real chain; what it refuses, the test says.
import { strictEqual } from "node:assert";
import type { BrowserContext, Page } from "playwright-core";
import { createPublicClient, type Hex, http, numberToHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";

type Question = { readonly method: string; readonly params?: readonly unknown[] };
type Emitted = readonly (readonly [event: string, value: unknown])[];
type Answer = {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
  readonly emit?: Emitted;
};

/** The page's side: all that an extension would put there. */
const ANNOUNCER = `
  const listeners = new Map();
  const provider = {
    request: async (question) => {
      const { result, error, emit = [] } = await globalThis.testWallet(question);
      for (const [event, value] of emit) for (const hear of listeners.get(event) ?? []) hear(value);
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      return result;
    },
    on: (event, hear) => listeners.set(event, [...(listeners.get(event) ?? []), hear]),
  };
  const icon = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>";
  const info = { uuid: crypto.randomUUID(), name: "Test wallet", icon, rdns: "test.wallet" };
  const detail = Object.freeze({ info, provider });
  const announce = () =>
    dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  addEventListener("eip6963:requestProvider", announce);
  announce();
  globalThis.tellOfWallet = (event, value) => {
    for (const hear of listeners.get(event) ?? []) hear(value);
  };
`;

const REJECTED = { error: { code: 4001, message: "User rejected the request." } };
/** What a person is asked about. */
const ASKS_FIRST = /^(eth_requestAccounts|eth_sign|eth_send|wallet_switch|wallet_add)/;

export class TestWallet {
  readonly account: PrivateKeyAccount;
  /** Everything that it was asked, in order. */
  readonly asked: string[] = [];
  /** The person says no to the next question. */
  rejectsNext = false;
  /** It signs with another account than the one it shows. */
  signer: PrivateKeyAccount;
  isConnected = false;
  #chainId = 1;
  /** By chain id: where it is reached. Chain 1 is nowhere here. */
  readonly #chains = new Map<number, string>([[1, ""]]);

  constructor(key: Hex) {
    this.account = privateKeyToAccount(key);
    this.signer = this.account;
  }

  async announceTo(person: BrowserContext): Promise<void> {
    await person.exposeFunction("testWallet", (question: Question) => this.#answer(question));
    await person.addInitScript(ANNOUNCER);
  }

  /** The person picks another network in the wallet itself. */
  async changeChain(page: Page, chainId: number): Promise<void> {
    this.#chainId = chainId;
    const told = ["chainChanged", numberToHex(chainId)];
    await page.evaluate(`tellOfWallet(...${JSON.stringify(told)})`);
  }

  async #answer(question: Question): Promise<Answer> {
    const { method, params = [] } = question;
    this.asked.push(method);
    if (this.rejectsNext && ASKS_FIRST.test(method)) {
      this.rejectsNext = false;
      return REJECTED;
    }
    try {
      return await this.#carryOut(method, params);
    } catch (caught) {
      const message = caught instanceof Error ? caught.message : String(caught);
      return { error: { code: -32603, message } };
    }
  }

  async #carryOut(method: string, params: readonly unknown[]): Promise<Answer> {
    switch (method) {
      case "eth_requestAccounts":
        this.isConnected = true;
        return { result: [this.account.address] };
      case "eth_accounts":
        return { result: this.isConnected ? [this.account.address] : [] };
      case "eth_chainId":
        return { result: numberToHex(this.#chainId) };
      case "wallet_switchEthereumChain":
        return this.#switchTo(Number((params[0] as { chainId: Hex }).chainId));
      case "wallet_addEthereumChain":
        return this.#add(params[0] as { chainId: Hex; rpcUrls: readonly string[] });
      case "wallet_revokePermissions":
        this.isConnected = false;
        return { result: null, emit: [["accountsChanged", []]] };
      case "eth_signTypedData_v4":
        return { result: await this.#sign(String(params[0]), String(params[1])) };
      case "eth_sendTransaction":
        return { result: await this.#send(params[0] as { from: Hex; to: Hex; data: Hex }) };
      default:
        return { result: await this.#rpc(method, params) };
    }
  }

  #switchTo(chainId: number): Answer {
    if (!this.#chains.has(chainId)) {
      return { error: { code: 4902, message: "Unrecognized chain ID." } };
    }
    this.#chainId = chainId;
    return { result: null, emit: [["chainChanged", numberToHex(chainId)]] };
  }

  /** As wallets do: only if that address answers for that chain. */
  async #add(chain: { chainId: Hex; rpcUrls: readonly string[] }): Promise<Answer> {
    const [url = ""] = chain.rpcUrls;
    const found = await createPublicClient({ transport: http(url) }).getChainId();
    strictEqual(found, Number(chain.chainId));
    this.#chains.set(found, url);
    return { result: null };
  }

  async #sign(account: string, json: string): Promise<Hex> {
    const data = JSON.parse(json) as Parameters<PrivateKeyAccount["signTypedData"]>[0];
    strictEqual(account.toLowerCase(), this.account.address.toLowerCase());
    strictEqual(Number(data.domain?.chainId), this.#chainId, "a wallet signs for its own chain");
    return this.signer.signTypedData(data);
  }

  async #send({ from, to, data }: { from: Hex; to: Hex; data: Hex }): Promise<Hex> {
    const { account } = this;
    strictEqual(from.toLowerCase(), account.address.toLowerCase());
    const client = createPublicClient({ transport: http(this.#chains.get(this.#chainId)) });
    const serializedTransaction = await account.signTransaction({
      ...{ type: "eip1559", chainId: this.#chainId, to, data, gas: 2_000_000n },
      ...{ maxFeePerGas: 0n, maxPriorityFeePerGas: 0n },
      nonce: await client.getTransactionCount({ address: account.address }),
    });
    return client.sendRawTransaction({ serializedTransaction });
  }

  async #rpc(method: string, params: readonly unknown[]): Promise<unknown> {
    const client = createPublicClient({ transport: http(this.#chains.get(this.#chainId)) });
    return client.request({ method, params } as never);
  }
}
