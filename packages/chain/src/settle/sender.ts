// Transactions that happen once: signed and stored before they are sent, sent again until they are
// in the chain, and signed anew only when they can never happen.
import { messageOf } from "@manyhands/base/errors";
import { BaseError, ContractFunctionRevertedError, encodeFunctionData, keccak256 } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import type { ChainClient, Receipt, View } from "./client.ts";
import { RefusedError } from "./errors.ts";
import type { Journal, Transaction } from "./journal.ts";

/** Called between the steps of a transaction: what tests of a sudden death hook into. */
export type OnStep = (step: "before-signing" | "signed" | "sent" | "mined") => void;

export type SenderOptions = {
  readonly client: ChainClient;
  readonly journal: Journal;
  readonly account: PrivateKeyAccount;
  readonly onStep?: OnStep | undefined;
};

const GAS_MARGIN_PERCENT = 120n;

export class Sender {
  readonly #options: SenderOptions;
  readonly #onStep: OnStep;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#onStep = options.onStep ?? (() => undefined);
  }

  get account(): PrivateKeyAccount {
    return this.#options.account;
  }

  /** Brings to an end what an earlier process began. */
  async resume(): Promise<void> {
    for (const one of this.#options.journal.transactions()) {
      if (one.state === "signed") await this.#follow(one);
    }
  }

  /**
   * One transaction of this purpose, whatever happens to this process; its receipt.
   *
   * @throws RefusedError if the contract refuses it
   */
  async once(purpose: string, call: View): Promise<Receipt> {
    const { journal, client } = this.#options;
    for (;;) {
      const known = journal.transaction(purpose);
      const receipt = await this.#follow(known ?? (await this.#sign(purpose, call)));
      if (receipt?.status === "success") return receipt;
      if (receipt) throw new RefusedError(`${purpose}: the transaction was reverted`, HINT);
      await pause(client.pollMs);
    }
  }

  async #sign(purpose: string, call: View): Promise<Transaction> {
    const { client, journal, account } = this.#options;
    this.#onStep("before-signing");
    const gas = await client
      .estimate({ ...call, account: account.address })
      .catch(refused(purpose));
    const nonce = await client.transactionCount(account.address);
    const raw = await account.signTransaction({
      type: "eip1559",
      chainId: client.chainId,
      nonce,
      gas: (gas * GAS_MARGIN_PERCENT) / 100n,
      to: call.address,
      data: encodeFunctionData(call),
      ...(await client.fees()),
    });
    const signed = { purpose, sender: account.address, nonce, hash: keccak256(raw), raw };
    journal.putTransaction(signed);
    this.#onStep("signed");
    return { ...signed, state: "signed" };
  }

  /** Sends it until it is deep in the chain. @returns null if it never will be */
  async #follow({ hash, raw, nonce, sender }: Transaction): Promise<Receipt | null> {
    const { client, journal } = this.#options;
    for (;;) {
      const receipt = await client.receipt(hash);
      if (receipt) {
        this.#onStep("mined");
        journal.putState(hash, receipt.status === "success" ? "mined" : "failed");
        return receipt;
      }
      if (await this.#isDead(sender, nonce, hash)) {
        journal.putState(hash, "dead");
        return null;
      }
      await client.send(raw);
      this.#onStep("sent");
      if (!(await client.receipt(hash))) await pause(client.pollMs);
    }
  }

  /** Its nonce is used, and not by it. Looked at twice: it may have come in between. */
  async #isDead(sender: Transaction["sender"], nonce: number, hash: Transaction["hash"]) {
    const { client } = this.#options;
    if ((await client.transactionCount(sender)) <= nonce) return false;
    return !(await client.isKnown(hash));
  }
}

const HINT = { hint: "`manyhands pay status` shows how the run stands on its chain." };

/** The contract's own words for why not. */
function refused(purpose: string): (caught: unknown) => never {
  return (caught) => {
    const found = caught instanceof BaseError ? caught.walk(isRevert) : null;
    const data = found instanceof ContractFunctionRevertedError ? found.data : undefined;
    const words = data
      ? `${data.errorName}(${(data.args ?? []).map(String).join(", ")})`
      : (messageOf(caught).split("\n")[0] ?? "");
    throw new RefusedError(`${purpose}: the contract refuses it: ${words}`, {
      cause: caught,
      ...HINT,
    });
  };
}

function isRevert(error: unknown): boolean {
  return error instanceof ContractFunctionRevertedError;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
