// Transactions that happen once: signed and stored before they are sent, sent again until they are
// deep in the chain, given a higher fee when they are stuck, and signed anew only when they can
// never happen. Not what they are for: settler.ts.
import { encodeFunctionData, type Hex, keccak256, parseTransaction } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import type { ChainClient, Fees, Receipt, Sighted, View } from "./client.ts";
import { ChainError, RefusedError, STATUS_HINT } from "./errors.ts";
import type { Journal, Transaction } from "./journal.ts";

/** Called between the steps of a transaction: what tests of a sudden death hook into. */
export type OnStep = (step: "before-signing" | "signed" | "sent" | "mined") => void;

export type SenderOptions = {
  readonly client: ChainClient;
  readonly journal: Journal;
  readonly account: PrivateKeyAccount;
  readonly onStep?: OnStep | undefined;
  /** How long one transaction is waited for; it is stored, so a later call goes on. */
  readonly patienceMs?: number | undefined;
  /** Ends the waiting. */
  readonly stop?: AbortSignal | undefined;
  /** Blocks that a transaction is left out of before it gets a higher fee. Default 10. */
  readonly bumpBlocks?: number | undefined;
};

const GAS_MARGIN_PERCENT = 120n;
const BUMP_BLOCKS = 10;
const PATIENCE_MS = 900_000;
/** One node of several behind an address may be a block behind the others. */
const DEATH_LOOKS = 3;
const GENESIS = "genesis";

export class Sender {
  readonly #options: SenderOptions;
  readonly #onStep: OnStep;
  #isPinned = false;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#onStep = options.onStep ?? (() => undefined);
  }

  get account(): PrivateKeyAccount {
    return this.#options.account;
  }

  /**
   * Brings to an end what an earlier process began, or what a reorganisation has undone.
   *
   * @param onEnd may throw: then nothing further is sent
   */
  async resume(onEnd: (purpose: string, receipt: Receipt) => void = () => undefined) {
    await this.#lookBack();
    for (const one of this.#options.journal.unfinished()) {
      const receipt = await this.#follow(one);
      if (receipt) onEnd(one.purpose, receipt);
    }
  }

  /**
   * One transaction of this purpose, whatever happens to this process; its receipt.
   *
   * @throws RefusedError if the contract refuses it; ChainError, and the same call goes on later
   */
  async once(purpose: string, call: View): Promise<Receipt> {
    const { journal, client } = this.#options;
    for (;;) {
      const known = journal.transaction(purpose);
      const receipt = await this.#follow(known ?? (await this.#sign(purpose, call)));
      if (receipt?.status === "success") return receipt;
      if (receipt) throw new RefusedError(`${purpose}: the transaction was reverted`, STATUS_HINT);
      await this.#pause(client.pollMs);
    }
  }

  /** What was in the chain and no longer is: a reorganisation took it out, and it goes in again. */
  async #lookBack(): Promise<void> {
    const { journal, client, account } = this.#options;
    const sender = account.address.toLowerCase() as Hex;
    await this.#sameChain();
    // Nonces are in order: if the last one stands, so do all before it.
    for (;;) {
      const last = journal.lastEnded(sender);
      if (!last || (await client.sight(last.hash))) return;
      journal.putState(last.hash, "signed");
    }
  }

  async #sign(purpose: string, call: View): Promise<Transaction> {
    const { client, account } = this.#options;
    await this.#sameChain();
    this.#onStep("before-signing");
    const gas = await client.estimate(purpose, { ...call, account: account.address });
    return this.#store(purpose, {
      nonce: await client.nextNonce(account.address),
      gas: (gas * GAS_MARGIN_PERCENT) / 100n,
      to: call.address,
      data: encodeFunctionData(call),
      ...(await client.fees()),
    });
  }

  /** Signed, and in the journal before anybody else can have it. */
  async #store(purpose: string, content: Content): Promise<Transaction> {
    const { client, journal, account } = this.#options;
    const { chainId } = client;
    const block = (await client.newest()).number;
    const raw = await account.signTransaction({ type: "eip1559", chainId, ...content });
    const sender = account.address.toLowerCase() as Hex;
    const signed = { purpose, sender, nonce: content.nonce, hash: keccak256(raw), raw, block };
    journal.putTransaction(signed);
    this.#onStep("signed");
    return { ...signed, state: "signed" };
  }

  /** Sends it until it is deep in the chain. @returns null if it never will be */
  async #follow(one: Transaction): Promise<Receipt | null> {
    const { client, journal, patienceMs = PATIENCE_MS } = this.#options;
    await this.#sameChain();
    const since = performance.now();
    for (;;) {
      const attempts = journal.attempts(one);
      const found = await this.#found(attempts);
      if (found?.receipt.deep) return this.#end(attempts, found);
      if (!found && (await this.#isDead(one, attempts))) {
        for (const { hash } of attempts) journal.putState(hash, "dead");
        return null;
      }
      const sent = found ? null : await this.#push(attempts);
      if (sent && (await client.receipt(sent))) continue;
      if (performance.now() - since > patienceMs) throw waits(one);
      await this.#pause(client.pollMs, one);
    }
  }

  async #found(attempts: readonly Transaction[]): Promise<Found | null> {
    for (const { hash } of attempts) {
      const receipt = await this.#options.client.sight(hash);
      if (receipt) return { hash, receipt };
    }
    return null;
  }

  #end(attempts: readonly Transaction[], { hash, receipt }: Found): Receipt {
    const { journal } = this.#options;
    this.#onStep("mined");
    journal.putState(hash, receipt.status === "success" ? "mined" : "failed");
    for (const other of attempts) if (other.hash !== hash) journal.putState(other.hash, "dead");
    return receipt;
  }

  /** Its nonce is used, and not by it. Looked at again: it may have come in between. */
  async #isDead({ sender, nonce }: Transaction, attempts: readonly Transaction[]) {
    const { client } = this.#options;
    for (let look = 0; look < DEATH_LOOKS; look++) {
      if (look > 0) await this.#pause(client.pollMs);
      if ((await client.usedNonces(sender)) <= nonce) return false;
      if (await this.#found(attempts)) return false;
    }
    await client.guard();
    return true;
  }

  /** Sends what waits, with a higher fee if it has waited long. @returns the hash that was sent */
  async #push(attempts: readonly Transaction[]): Promise<Hex | null> {
    const { client, account, bumpBlocks = BUMP_BLOCKS } = this.#options;
    const newest = attempts.at(-1);
    if (!newest) return null;
    // A node may say no: it has it already, or its price has become too low, say.
    await client.send(newest.raw);
    this.#onStep("sent");
    const isOurs = newest.sender === account.address.toLowerCase();
    if (!isOurs || (await client.newest()).number < newest.block + bumpBlocks) return newest.hash;
    if (await client.sight(newest.hash)) return newest.hash;
    const content = contentOf(newest);
    const gas = await this.#gasNow(content);
    const fees = await client.raised(content);
    const raised = await this.#store(newest.purpose, { ...content, gas, ...fees });
    await client.send(raised.raw);
    return raised.hash;
  }

  /** What it took when it was signed, or what it takes now if that is more. */
  async #gasNow({ to, data, gas }: Content): Promise<bigint> {
    const { client, account } = this.#options;
    const now = await client.estimateRaw({ account: account.address, to, data });
    const wanted = now === null ? 0n : (now * GAS_MARGIN_PERCENT) / 100n;
    return wanted > gas ? wanted : gas;
  }

  /** The number was checked when the client was opened; the chain itself is known by its start. */
  async #sameChain(): Promise<void> {
    const { client, journal } = this.#options;
    await client.guard();
    if (this.#isPinned) return;
    const [known, found] = [journal.fact(GENESIS), await client.genesis()];
    if (known !== null && found !== null && known !== found) {
      throw new ChainError(`this is another chain ${client.chainId} than the one before`, {
        hint:
          "A chain that was begun anew knows nothing of this run. To begin the run's money anew " +
          "on it, remove settle.sqlite from the run's folder.",
      });
    }
    if (known === null && found !== null) journal.putFact(GENESIS, found);
    this.#isPinned = true;
  }

  async #pause(ms: number, one?: Transaction): Promise<void> {
    const { stop } = this.#options;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        stop?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      stop?.addEventListener("abort", done);
      if (stop?.aborted) done();
    });
    if (stop?.aborted) throw waits(one);
  }
}

type Content = Fees & {
  readonly nonce: number;
  readonly gas: bigint;
  readonly to: Hex;
  readonly data: Hex;
};

type Found = { readonly hash: Hex; readonly receipt: Sighted };

function contentOf({ raw, nonce }: Transaction): Content {
  const { to, data, gas, maxFeePerGas, maxPriorityFeePerGas } = parseTransaction(raw);
  return {
    ...{ nonce, to: to ?? "0x", data: data ?? "0x", gas: gas ?? 0n },
    ...{ maxFeePerGas: maxFeePerGas ?? 0n, maxPriorityFeePerGas: maxPriorityFeePerGas ?? 0n },
  };
}

function waits(one?: Transaction): ChainError {
  const what = one ? `${one.purpose} (${one.hash})` : "a transaction";
  return new ChainError(`${what} is sent, and not deep enough in the chain yet`, {
    hint: "It is stored: the same command goes on with it, and never sends it a second time.",
  });
}
