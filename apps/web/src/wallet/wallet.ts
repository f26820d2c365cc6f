// The one wallet that this page may be connected to: a store for the screens, and what is asked of
// it. Keys never come here: the wallet signs and sends, or refuses.
import { err, ok } from "@manyhands/base/result";
import {
  type Announced,
  askWallet,
  listenForWallets,
  type Provider,
  type WalletAnswer,
} from "./provider.ts";

export type WalletView = {
  readonly found: readonly Announced[];
  readonly connected: {
    readonly name: string;
    /** 20 bytes in hex. */
    readonly account: string;
    readonly chainId: number;
  } | null;
};

/** As wallets want to hear of a chain that they do not know (EIP-3085). */
export type NewChain = {
  readonly chainId: number;
  readonly name: string;
  readonly rpcUrl: string;
};

const PLACE = "manyhands.wallet";

export class Wallet {
  #view: WalletView = { found: [], connected: null };
  readonly #listeners = new Set<() => void>();
  readonly #heard = new Set<Provider>();
  #provider: Provider | null = null;
  #name = "";

  constructor() {
    listenForWallets((wallet) => {
      this.#change({ found: [...this.#view.found, wallet] });
      // Connected at an earlier visit: asked without a word to the person.
      if (wallet.rdns === keptName() && !this.#provider) void this.#enter(wallet, "eth_accounts");
    });
  }

  readonly view = (): WalletView => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  connect(wallet: Announced): Promise<WalletAnswer<null>> {
    return this.#enter(wallet, "eth_requestAccounts");
  }

  /** Forgets it here, and asks it to forget this page; not every wallet can. */
  async disconnect(): Promise<void> {
    const provider = this.#provider;
    this.#leave();
    keepName(null);
    if (provider) await askWallet(provider, "wallet_revokePermissions", [{ eth_accounts: {} }]);
  }

  /** @param chain told to the wallet if it has never heard of it; null where it must know it */
  async switchTo(chainId: number, chain: NewChain | null): Promise<WalletAnswer<null>> {
    const wanted = { chainId: `0x${chainId.toString(16)}` };
    let answer = await this.ask("wallet_switchEthereumChain", [wanted]);
    if (!answer.ok && answer.error.kind === "unknown-chain" && chain) {
      const { name: chainName, rpcUrl } = chain;
      const nativeCurrency = { name: "Nothing", symbol: "ETH", decimals: 18 };
      const added = { ...wanted, chainName, nativeCurrency, rpcUrls: [rpcUrl] };
      answer = await this.ask("wallet_addEthereumChain", [added]);
      if (answer.ok) answer = await this.ask("wallet_switchEthereumChain", [wanted]);
    }
    if (!answer.ok) return answer;
    await this.#readChain();
    return ok(null);
  }

  /** @throws never: a refusal is an answer */
  ask(method: string, params: readonly unknown[]): Promise<WalletAnswer<unknown>> {
    if (this.#provider) return askWallet(this.#provider, method, params);
    return Promise.resolve(err({ kind: "failed", message: "no wallet is connected" }));
  }

  async #enter(
    wallet: Announced,
    method: "eth_accounts" | "eth_requestAccounts",
  ): Promise<WalletAnswer<null>> {
    const { provider, name, rdns } = wallet;
    const accounts = await askWallet(provider, method);
    if (!accounts.ok) return accounts;
    const account = accountIn(accounts.value);
    if (account === null) {
      return err({ kind: "failed", message: "the wallet named no account" });
    }
    this.#provider = provider;
    this.#name = name;
    this.#hear(provider);
    keepName(rdns);
    const chain = await askWallet(provider, "eth_chainId");
    if (!chain.ok) return chain;
    this.#change({ connected: { name, account, chainId: chainIdIn(chain.value) ?? 0 } });
    return ok(null);
  }

  /** What it tells by itself; once for each wallet. */
  #hear(provider: Provider): void {
    if (this.#heard.has(provider)) return;
    this.#heard.add(provider);
    const isOurs = (): boolean => provider === this.#provider;
    provider.on?.("accountsChanged", (accounts) => {
      if (isOurs()) this.#changeAccount(accountIn(accounts));
    });
    provider.on?.("chainChanged", () => {
      if (isOurs()) void this.#readChain();
    });
    provider.on?.("disconnect", () => {
      if (isOurs()) this.#leave();
    });
  }

  async #readChain(): Promise<void> {
    const answer = await this.ask("eth_chainId", []);
    const chainId = answer.ok ? chainIdIn(answer.value) : null;
    const { connected } = this.#view;
    if (connected && chainId !== null) this.#change({ connected: { ...connected, chainId } });
  }

  #changeAccount(account: string | null): void {
    const { connected } = this.#view;
    if (account === null) this.#leave();
    else if (connected) this.#change({ connected: { ...connected, account, name: this.#name } });
  }

  #leave(): void {
    this.#provider = null;
    this.#change({ connected: null });
  }

  #change(part: Partial<WalletView>): void {
    this.#view = { ...this.#view, ...part };
    for (const listener of this.#listeners) listener();
  }
}

function accountIn(accounts: unknown): string | null {
  const first: unknown = Array.isArray(accounts) ? accounts[0] : null;
  const [, hex] = /^0x([0-9a-f]{40})$/.exec(String(first).toLowerCase()) ?? [];
  return hex ?? null;
}

function chainIdIn(answer: unknown): number | null {
  const id = typeof answer === "string" || typeof answer === "number" ? Number(answer) : Number.NaN;
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}

function keptName(): string | null {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null; // a private window
  }
}

function keepName(rdns: string | null): void {
  try {
    if (rdns === null) localStorage.removeItem(PLACE);
    else localStorage.setItem(PLACE, rdns);
  } catch {
    // Without storage the wallet is asked again at the next visit.
  }
}

let wallet: Wallet | null = null;

export function theWallet(): Wallet {
  wallet ??= new Wallet();
  return wallet;
}
