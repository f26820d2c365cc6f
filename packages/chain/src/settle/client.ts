// A chain behind an RPC address, pinned to one chain id. Reads, fees, and raw sending.
// Not what is sent and when: sender.ts and settler.ts.
import { messageOf } from "@manyhands/base/errors";
import {
  type Abi,
  type Address,
  createPublicClient,
  type Hex,
  http,
  type Log,
  TransactionReceiptNotFoundError,
} from "viem";
import { ChainError } from "./errors.ts";

export type ChainOptions = {
  readonly url: string;
  /** What the run says. Any other is refused. */
  readonly chainId: number;
  /** Wei for a unit of gas, at most. Default: 200 gwei. */
  readonly feeMax?: bigint;
  /** Blocks on top of a transaction's own until it counts. Default 0: for a local chain. */
  readonly confirmations?: number;
  readonly pollMs?: number;
};

export type View = {
  readonly address: Address;
  readonly abi: Abi;
  readonly functionName: string;
  readonly args?: readonly unknown[];
};

export type Receipt = {
  readonly status: "success" | "reverted";
  readonly blockNumber: bigint;
  readonly logs: readonly Log[];
};

export type Fees = { readonly maxFeePerGas: bigint; readonly maxPriorityFeePerGas: bigint };

const FEE_MAX = 200_000_000_000n;
const TIMEOUT_MS = 30_000;

export class ChainClient {
  readonly chainId: number;
  readonly confirmations: number;
  readonly pollMs: number;
  readonly #feeMax: bigint;
  readonly #client;

  private constructor(options: ChainOptions) {
    this.chainId = options.chainId;
    this.confirmations = options.confirmations ?? 0;
    this.pollMs = options.pollMs ?? 500;
    this.#feeMax = options.feeMax ?? FEE_MAX;
    const transport = http(options.url, { retryCount: 3, timeout: TIMEOUT_MS, batch: true });
    this.#client = createPublicClient({ transport });
  }

  /** @throws ChainError if nobody answers, or another chain does */
  static async open(options: ChainOptions): Promise<ChainClient> {
    const client = new ChainClient(options);
    const found = await client.#asked("its chain id", () => client.#client.getChainId());
    if (found === options.chainId) return client;
    throw new ChainError(`the RPC answers for chain ${found}, the run pays on ${options.chainId}`, {
      hint: "Give the RPC address of the run's own chain: nothing is signed for another one.",
    });
  }

  /** What a contract answers. @throws ChainError */
  read(view: View): Promise<unknown> {
    return this.#asked(view.functionName, () => this.#client.readContract(view));
  }

  isContract(address: Address): Promise<boolean> {
    return this.#asked("a contract's code", async () => {
      const code = await this.#client.getCode({ address });
      return code !== undefined && code !== "0x";
    });
  }

  transactionCount(address: Address): Promise<number> {
    return this.#asked("a nonce", () => this.#client.getTransactionCount({ address }));
  }

  /** Twice the base fee, so that a few full blocks do not strand it. @throws ChainError */
  async fees(): Promise<Fees> {
    const fees = await this.#asked("fees", async () => {
      const { baseFeePerGas } = await this.#client.getBlock();
      const tip = await this.#client.estimateMaxPriorityFeePerGas();
      return { maxFeePerGas: 2n * (baseFeePerGas ?? 0n) + tip, maxPriorityFeePerGas: tip };
    });
    if (fees.maxFeePerGas <= this.#feeMax) return fees;
    throw new ChainError(`gas costs ${fees.maxFeePerGas} wei, more than ${this.#feeMax}`, {
      hint: "Wait until the chain is quieter, or allow more with --fee-max.",
    });
  }

  /** Gas of a call, which reverts as the transaction would: with the contract's own words. */
  estimate(call: View & { readonly account: Address }): Promise<bigint> {
    return this.#client.estimateContractGas(call as never);
  }

  /** Null while it is in no block, or in one that is not deep enough. */
  async receipt(hash: Hex): Promise<Receipt | null> {
    const found = await this.#client.getTransactionReceipt({ hash }).catch(notFound);
    if (!found || this.confirmations === 0) return found;
    const newest = await this.#asked("a block", () =>
      this.#client.getBlockNumber({ cacheTime: 0 }),
    );
    return newest >= found.blockNumber + BigInt(this.confirmations) ? found : null;
  }

  /** In a block, or about to be: however deep. */
  async isKnown(hash: Hex): Promise<boolean> {
    const found = await this.#client.getTransactionReceipt({ hash }).catch(notFound);
    return found !== null;
  }

  /** Again and again is no harm: it has one nonce. What it did is in its receipt. */
  async send(serializedTransaction: Hex): Promise<void> {
    await this.#client.sendRawTransaction({ serializedTransaction }).catch((caught: unknown) => {
      const known = /already known|known transaction|already imported|nonce/i;
      if (!known.test(messageOf(caught))) throw chainError("sending", caught);
    });
  }

  async #asked<T>(what: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (cause) {
      throw chainError(what, cause);
    }
  }
}

/** @throws ChainError for any other failure: a chain that is silent has not lost anything */
function notFound(caught: unknown): null {
  if (caught instanceof TransactionReceiptNotFoundError) return null;
  throw chainError("a receipt", caught);
}

function chainError(what: string, cause: unknown): ChainError {
  const message = messageOf(cause).split("\n")[0] ?? "";
  return new ChainError(`the chain does not answer (${what}): ${message}`, {
    cause,
    hint: "Is the RPC address right and reachable? Nothing is lost: the same command goes on.",
  });
}
