// A chain behind an RPC address, pinned to one chain id. Reads, fees, and raw sending. What it
// answers is another program's word: numbers that are none become errors with a hint.
// Not what is sent and when: sender.ts and settler.ts.
import { messageOf } from "@manyhands/base/errors";
import {
  type Abi,
  type AbiEvent,
  type Address,
  BaseError,
  createPublicClient,
  type Hex,
  http,
  type Log,
  parseAbi,
  RpcRequestError,
  TransactionReceiptNotFoundError,
} from "viem";
import { ChainError, isPoor, poor, refusalOf } from "./errors.ts";

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

export type Sighted = Receipt & { readonly deep: boolean };

export type Fees = { readonly maxFeePerGas: bigint; readonly maxPriorityFeePerGas: bigint };

/** An event of one contract, by its first indexed argument. */
export type Sought = {
  readonly address: Address;
  readonly event: AbiEvent;
  readonly args: Readonly<Record<string, unknown>>;
};

const FEE_MAX = 200_000_000_000n;
const TIMEOUT_MS = 30_000;
/** A node keeps the old one of two transactions unless the new one pays clearly more. */
const RAISE = { times: 9n, per: 8n };
/** No transaction takes less, and no chain has room for one of more. */
const GAS_MIN = 21_000n;
const GAS_MAX = 1_000_000_000n;
/** What a token may say through another contract. */
const TOKEN_ERRORS = parseAbi([
  "error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)",
  "error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)",
]);
/** Many RPCs answer for so many blocks of logs at a time, and no more. */
const LOG_BLOCKS = 10_000n;
const LOG_STEPS_MAX = 2_000;

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
    await client.guard();
    return client;
  }

  /**
   * Whether the address still answers for the run's chain. Asked again before anything is signed or
   * given up: what is behind an address can change.
   *
   * @throws ChainError
   */
  async guard(): Promise<void> {
    const found = await this.#asked("its chain id", () => this.#client.getChainId());
    if (found === this.chainId) return;
    throw new ChainError(`the RPC answers for chain ${found}, the run pays on ${this.chainId}`, {
      hint: "Give the RPC address of the run's own chain: nothing is signed for another one.",
    });
  }

  /** Hash of its first block: two chains may have one number. Null where a node forgot it. */
  async genesis(): Promise<Hex | null> {
    return this.#asked("its first block", () =>
      this.#client.getBlock({ blockNumber: 0n }).then(
        ({ hash }) => hash,
        (caught: Error) => {
          if (caught.name === "BlockNotFoundError") return null;
          throw caught;
        },
      ),
    );
  }

  /** What a contract answers. @throws ChainError */
  read(view: View): Promise<unknown> {
    return this.#asked(view.functionName, () => this.#client.readContract(view));
  }

  /** Null if the contract refuses the question, or has no answer to it. @throws ChainError */
  readIfThere(view: View): Promise<unknown> {
    return this.#asked(view.functionName, () =>
      this.#client.readContract(view).catch((caught: unknown) => {
        if (caught instanceof BaseError && caught.walk(isNoAnswer)) return null;
        throw caught;
      }),
    );
  }

  isContract(address: Address): Promise<boolean> {
    return this.#asked("a contract's code", async () => {
      const code = await this.#client.getCode({ address });
      return code !== undefined && code !== "0x";
    });
  }

  /** The nonce after all that the node has heard of. */
  async nextNonce(address: Address): Promise<number> {
    const ask = () => this.#client.getTransactionCount({ address, blockTag: "pending" });
    return whole(await this.#asked("a nonce", ask), "a nonce");
  }

  /** How many nonces are used, as deep as this client wants transactions to be. */
  async usedNonces(address: Address): Promise<number> {
    const count = await this.#asked("a nonce", async () => {
      if (this.confirmations === 0) return this.#client.getTransactionCount({ address });
      const depth = BigInt(this.confirmations);
      const newest = await this.#client.getBlockNumber({ cacheTime: 0 });
      const blockNumber = newest > depth ? newest - depth : 0n;
      return this.#client.getTransactionCount({ address, blockNumber });
    });
    return whole(count, "a nonce");
  }

  /** The newest block. */
  async newest(): Promise<{ readonly number: number; readonly seconds: number }> {
    const { number, timestamp } = await this.#asked("a block", () => this.#client.getBlock());
    return {
      number: whole(Number(number), "a block's number"),
      seconds: whole(Number(timestamp), "a block's time"),
    };
  }

  /** Twice the base fee, so that a few full blocks do not strand it. @throws ChainError */
  async fees(): Promise<Fees> {
    return this.#affordable(await this.#market());
  }

  /** For a transaction that takes the place of one that waits. @throws ChainError above the cap */
  async raised(before: Fees): Promise<Fees> {
    const now = await this.#market();
    const more = (field: keyof Fees): bigint => {
      const least = (before[field] * RAISE.times) / RAISE.per + 1n;
      return now[field] > least ? now[field] : least;
    };
    const maxPriorityFeePerGas = more("maxPriorityFeePerGas");
    return this.#affordable({ maxFeePerGas: more("maxFeePerGas"), maxPriorityFeePerGas });
  }

  async #market(): Promise<Fees> {
    const fees = await this.#asked("fees", async () => {
      const { baseFeePerGas } = await this.#client.getBlock();
      const tip = await this.#client.estimateMaxPriorityFeePerGas();
      return { maxFeePerGas: 2n * (baseFeePerGas ?? 0n) + tip, maxPriorityFeePerGas: tip };
    });
    if (fees.maxPriorityFeePerGas >= 0n && fees.maxFeePerGas >= 0n) return fees;
    throw nonsense("fees", "they are below nothing");
  }

  #affordable(fees: Fees): Fees {
    if (fees.maxFeePerGas <= this.#feeMax) return fees;
    throw new ChainError(`gas costs ${fees.maxFeePerGas} wei, more than ${this.#feeMax}`, {
      hint: "Wait until the chain is quieter, or allow more with --fee-max.",
    });
  }

  /**
   * Gas of a call.
   *
   * @throws RefusedError with the contract's own words if it would revert; ChainError
   */
  async estimate(purpose: string, call: View & { readonly account: Address }): Promise<bigint> {
    try {
      const abi = [...call.abi, ...TOKEN_ERRORS];
      const gas = await this.#client.estimateContractGas({ ...call, abi } as never);
      if (gas >= GAS_MIN && gas <= GAS_MAX) return gas;
      throw nonsense("an amount of gas", String(gas));
    } catch (caught) {
      if (caught instanceof ChainError) throw caught;
      throw refusalOf(purpose, caught) ?? chainError(purpose, caught);
    }
  }

  /** The same of bytes; null if it would revert now. @throws ChainError */
  async estimateRaw(call: {
    readonly account: Address;
    readonly to: Address;
    readonly data: Hex;
  }): Promise<bigint | null> {
    try {
      const gas = await this.#client.estimateGas(call);
      return gas <= GAS_MAX ? gas : null;
    } catch (caught) {
      if (caught instanceof BaseError && caught.walk(isAnswer)) return null;
      throw chainError("an amount of gas", caught);
    }
  }

  /** Null while it is in no block, or in one that is not deep enough. */
  async receipt(hash: Hex): Promise<Receipt | null> {
    const seen = await this.sight(hash);
    return seen?.deep ? seen : null;
  }

  /** Null while it is in no block; `deep` once so many blocks are on top of its own. */
  async sight(hash: Hex): Promise<Sighted | null> {
    const found = await this.#client.getTransactionReceipt({ hash }).catch(notFound);
    if (!found) return null;
    const { status, blockNumber, logs, transactionHash } = found;
    const isReceipt =
      (status === "success" || status === "reverted") &&
      typeof blockNumber === "bigint" &&
      Array.isArray(logs) &&
      String(transactionHash).toLowerCase() === hash.toLowerCase();
    if (!isReceipt) throw nonsense("a receipt", "it is none of this transaction");
    const deep =
      this.confirmations === 0 ||
      (await this.newest()).number >= Number(blockNumber) + this.confirmations;
    return { status, blockNumber, logs, deep };
  }

  /**
   * Again and again is no harm: it has one nonce. What it did is in its receipt.
   *
   * @returns why the node does not want it, now; null if it has it
   * @throws RefusedError if the account cannot pay for it; ChainError if nobody answers
   */
  async send(serializedTransaction: Hex): Promise<string | null> {
    try {
      await this.#client.sendRawTransaction({ serializedTransaction });
      return null;
    } catch (caught) {
      if (caught instanceof BaseError && caught.walk(isPoor)) throw poor("sending", caught);
      const answer = caught instanceof BaseError ? caught.walk(isAnswer) : null;
      if (answer instanceof RpcRequestError) return answer.details;
      throw chainError("sending", caught);
    }
  }

  /** The events, oldest first; from newer blocks to older ones where an RPC limits its answers. */
  async logs(sought: Sought): Promise<readonly Log[]> {
    const ask = (fromBlock: bigint, toBlock: bigint): Promise<readonly Log[]> =>
      this.#client.getLogs({ ...sought, fromBlock, toBlock, strict: true } as never);
    const newest = BigInt((await this.newest()).number);
    const all = await ask(0n, newest).catch(() => null); // it may be too many blocks for this RPC
    if (all) return all;
    return this.#asked("events", async () => {
      let last = newest;
      for (let step = 0; step < LOG_STEPS_MAX; step++) {
        const first = last >= LOG_BLOCKS ? last - LOG_BLOCKS + 1n : 0n;
        const found = await ask(first, last);
        if (found.length > 0 || first === 0n) return found;
        last = first - 1n;
      }
      return [];
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

/** @throws ChainError for what is no count of anything */
function whole(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw nonsense(what, `${value} is no such number`);
}

/** The node has understood the question, and says no. */
function isAnswer(error: unknown): boolean {
  return error instanceof RpcRequestError;
}

function isNoAnswer(error: unknown): boolean {
  const { name } = error as Error;
  return /^(ContractFunction(Reverted|ZeroData)|AbiDecodingZeroData)Error$/.test(name);
}

function nonsense(what: string, problem: string): ChainError {
  return new ChainError(`the chain's RPC answers nonsense (${what}): ${problem}`, {
    hint: "Use another RPC address of the same chain: nothing is lost, the same command goes on.",
  });
}

function chainError(what: string, cause: unknown): ChainError {
  const message = messageOf(cause).split("\n")[0] ?? "";
  return new ChainError(`the chain does not answer (${what}): ${message}`, {
    cause,
    hint: "Is the RPC address right and reachable? Nothing is lost: the same command goes on.",
  });
}
