// The local chain: transactions come in, wait for their turn by nonce, and are in a block on the
// disk before anybody is told that they are. It is one operator's ledger: tamper-evident, not
// decentralised. Not the RPC: that is rpc.ts.
import { createBlockHeader } from "@ethereumjs/block";
import { createMPT } from "@ethereumjs/mpt";
import { RLP } from "@ethereumjs/rlp";
import { Capability, createTxFromRLP, type TypedTransaction } from "@ethereumjs/tx";
import { bytesToHex, hexToBytes } from "@ethereumjs/util";
import { encodeReceipt, type RunTxResult } from "@ethereumjs/vm";
import { defined } from "@manyhands/base/assert";
import { InputError, messageOf } from "@manyhands/base/errors";
import { REFUSED, RpcError } from "./errors.ts";
import { blockJson, type Done, transactionRows, waitingJson } from "./json.ts";
import { BLOCK_GAS_MAX, blockAt, chainRules, type Hex, Machine, type Moment } from "./machine.ts";
import { ChainStore } from "./store.ts";

export type LocalChainOptions = {
  /** The SQLite file. It is made if it is not there. */
  readonly path: string;
  readonly chainId: number;
  /** Seconds since 1970. */
  readonly now: () => number;
};

/** Transactions that wait for an earlier one of their sender. */
const WAITING_MAX = 1_024;
/** As other nodes have it: gas is free here, and what is taken stays on the disk for ever. */
const TRANSACTION_BYTES_MAX = 131_072;
const BLOCK_TRANSACTIONS_MAX = 256;
const EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
const NO_HASH: Hex = `0x${"0".repeat(64)}`;

type Arrived = {
  readonly tx: TypedTransaction;
  readonly hash: Hex;
  readonly sender: Hex;
  readonly raw: Hex;
  /** Tells whoever sent it. Nobody waits for one that was read from the disk. */
  readonly settle: { readonly done: () => void; readonly failed: (why: unknown) => void } | null;
};

export class LocalChain {
  readonly chainId: number;
  readonly store: ChainStore;
  readonly machine: Machine;
  readonly #now: () => number;
  #head: Moment & { readonly hash: Hex };
  /** By sender, then nonce. */
  readonly #waiting = new Map<Hex, Map<bigint, Arrived>>();
  #ready: Arrived[] = [];
  #work: Promise<void> | null = null;

  private constructor(options: LocalChainOptions, store: ChainStore, machine: Machine) {
    this.chainId = options.chainId;
    this.#now = options.now;
    this.store = store;
    this.machine = machine;
    this.#head = headOf(store);
  }

  /** @throws InputError if the file is another chain's */
  static async open(options: LocalChainOptions): Promise<LocalChain> {
    const store = new ChainStore(options.path);
    const known = store.meta("chainId");
    if (known !== undefined && known !== String(options.chainId)) {
      store.close();
      throw new InputError(`${options.path} is chain ${known}, not ${options.chainId}`, {
        hint: "give its own chain id, or another file",
      });
    }
    store.setMeta("chainId", String(options.chainId));
    const head = store.head();
    const machine = await Machine.open({
      common: chainRules(options.chainId),
      nodes: store.nodes,
      hashOf: (block) => hexToBytes(hashOf(store, block)),
      root: head?.stateRoot as Hex | undefined,
    });
    if (!head) store.addBlock(genesis(options.now()));
    const chain = new LocalChain(options, store, machine);
    await chain.#takeUpWaiting();
    return chain;
  }

  get head(): Moment & { readonly hash: Hex } {
    return this.#head;
  }

  /** What a call that says "now" sees: the newest state, at this moment's time. */
  pendingMoment(): Moment {
    const { number, stateRoot } = this.#head;
    return { number: number + 1n, timestamp: this.#time(), stateRoot };
  }

  /** @returns undefined if there is no such block */
  momentOf(number: bigint): Moment | undefined {
    const block = this.store.block(Number(number));
    if (!block) return undefined;
    const { timestamp } = JSON.parse(block.body) as { timestamp: Hex };
    return { number, timestamp: BigInt(timestamp), stateRoot: block.stateRoot as Hex };
  }

  /** The nonce after all that was accepted, whether it is in a block or still waits its turn. */
  async pendingNonce(address: Hex): Promise<bigint> {
    let nonce = await this.machine.nonceOf(address);
    for (const { sender, tx } of this.#ready) {
      if (sender === address && tx.nonce >= nonce) nonce = tx.nonce + 1n;
    }
    const waiting = this.#waiting.get(address);
    while (waiting?.has(nonce)) nonce += 1n;
    return nonce;
  }

  /** One that was accepted and waits for its turn, as the RPC shows it. */
  waitingTransaction(hash: Hex): unknown {
    for (const ofSender of this.#waiting.values()) {
      for (const arrived of ofSender.values()) {
        if (arrived.hash === hash) return waitingJson(arrived);
      }
    }
    return null;
  }

  /**
   * Resolves when the transaction is on the disk: in a block, or waiting for an earlier one of its
   * sender.
   *
   * @throws RpcError if it is refused; nothing is kept of it then
   */
  async send(raw: Hex): Promise<Hex> {
    const { tx, hash, sender } = this.#read(raw);
    if (this.store.transaction(hash)) return hash;
    const nonce = await this.machine.nonceOf(sender);
    if (tx.nonce < nonce) {
      throw new RpcError(REFUSED, `nonce too low: next nonce ${nonce}, tx nonce ${tx.nonce}`);
    }
    const { promise, resolve: done, reject: failed } = Promise.withResolvers<void>();
    const arrived: Arrived = { tx, hash, sender, raw, settle: { done, failed } };
    const next = this.#nextReady(sender, nonce);
    if (tx.nonce > next) {
      this.#keep(arrived);
      done();
      // The one before it may have come into a block since the nonce was read.
      await this.#wake(sender);
    } else if (tx.nonce < next) {
      throw new RpcError(REFUSED, `nonce ${tx.nonce} is in use by a transaction on its way`);
    } else this.#ready.push(arrived);
    this.#makeBlocks();
    await promise;
    return hash;
  }

  /** A block without transactions: its time is all that changes. */
  async mine(): Promise<void> {
    await this.#work;
    await this.#makeBlock([]);
  }

  /** Ends when what is under way is done. */
  async close(): Promise<void> {
    await this.#work;
    this.store.close();
  }

  #read(raw: Hex): { tx: TypedTransaction; hash: Hex; sender: Hex } {
    if (raw.length > 2 + 2 * TRANSACTION_BYTES_MAX) {
      throw new RpcError(REFUSED, `a transaction has ${TRANSACTION_BYTES_MAX} bytes at most`);
    }
    try {
      const tx = createTxFromRLP(hexToBytes(raw), { common: this.machine.common });
      if (!tx.verifySignature()) throw new RpcError(REFUSED, "invalid signature");
      if (tx.type === 0 && !tx.supports(Capability.EIP155ReplayProtection)) {
        throw new RpcError(REFUSED, "only replay-protected (EIP-155) transactions are taken");
      }
      if (!tx.isValid()) throw new RpcError(REFUSED, tx.getValidationErrors().join("; "));
      const sender = tx.getSenderAddress().toString();
      return { tx, hash: bytesToHex(tx.hash()), sender };
    } catch (caught) {
      if (caught instanceof RpcError) throw caught;
      throw new RpcError(REFUSED, `the transaction cannot be read: ${messageOf(caught)}`);
    }
  }

  #nextReady(sender: Hex, nonce: bigint): bigint {
    let next = nonce;
    for (const other of this.#ready) if (other.sender === sender) next = other.tx.nonce + 1n;
    return next;
  }

  #keep(arrived: Arrived): void {
    const { sender, tx, hash, raw } = arrived;
    const ofSender = this.#waiting.get(sender) ?? new Map<bigint, Arrived>();
    const before = ofSender.get(tx.nonce);
    if (before && before.hash !== hash) {
      throw new RpcError(REFUSED, `nonce ${tx.nonce} is in use by a transaction that waits`);
    }
    let count = 0;
    for (const waiting of this.#waiting.values()) count += waiting.size;
    if (count >= WAITING_MAX) throw new RpcError(REFUSED, "too many transactions wait already");
    this.store.addWaiting({ hash, sender, nonce: Number(tx.nonce), raw });
    ofSender.set(tx.nonce, { ...arrived, settle: null });
    this.#waiting.set(sender, ofSender);
  }

  async #takeUpWaiting(): Promise<void> {
    for (const { raw } of this.store.waiting()) {
      const arrived = { ...this.#read(raw as Hex), raw: raw as Hex, settle: null };
      const ofSender = this.#waiting.get(arrived.sender) ?? new Map<bigint, Arrived>();
      ofSender.set(arrived.tx.nonce, arrived);
      this.#waiting.set(arrived.sender, ofSender);
    }
    for (const sender of this.#waiting.keys()) await this.#wake(sender);
    this.#makeBlocks();
  }

  /** What waited for the sender's last transaction is ready now. */
  async #wake(sender: Hex): Promise<void> {
    const ofSender = this.#waiting.get(sender);
    if (!ofSender) return;
    for (let nonce = this.#nextReady(sender, await this.machine.nonceOf(sender)); ; nonce++) {
      const arrived = ofSender.get(nonce);
      if (!arrived) break;
      ofSender.delete(nonce);
      this.#ready.push(arrived);
    }
    if (ofSender.size === 0) this.#waiting.delete(sender);
  }

  /** One maker at a time: while it writes a block, what arrives gathers for the next one. */
  #makeBlocks(): void {
    this.#work ??= this.#makeAll().finally(() => {
      this.#work = null;
    });
  }

  async #makeAll(): Promise<void> {
    // What arrives in the same turn of the event loop shares a block, and its write to the disk.
    await Promise.resolve();
    while (this.#ready.length > 0) {
      const batch = this.#ready.slice(0, BLOCK_TRANSACTIONS_MAX);
      try {
        await this.#makeBlock(batch);
      } catch (caught) {
        // The disk is full, say. Nobody was told that these are in, so all may send them again.
        this.#ready = this.#ready.filter((arrived) => !batch.includes(arrived));
        for (const { settle } of batch) settle?.failed(caught);
      }
      for (const { sender } of batch) await this.#wake(sender);
    }
  }

  async #makeBlock(batch: readonly Arrived[]): Promise<void> {
    const parent = this.#head;
    const moment = { number: parent.number + 1n, timestamp: this.#time() };
    const block = blockAt(this.machine.common, moment);
    const included: { readonly arrived: Arrived; readonly result: RunTxResult }[] = [];
    const refused: { readonly arrived: Arrived; readonly why: unknown }[] = [];
    let left: Arrived[] = [];
    let gasUsed = 0n;
    try {
      for (const [index, arrived] of batch.entries()) {
        if (gasUsed + arrived.tx.gasLimit > BLOCK_GAS_MAX) {
          left = batch.slice(index);
          break;
        }
        try {
          const result = await this.machine.run(arrived.tx, block, gasUsed);
          gasUsed += result.totalGasSpent;
          included.push({ arrived, result });
        } catch (why) {
          refused.push({ arrived, why });
        }
      }
      await this.#write(moment, gasUsed, included);
    } catch (caught) {
      this.store.dropFresh();
      await this.machine.goTo(parent.stateRoot);
      throw caught;
    }
    const gone = new Set(batch.filter((arrived) => !left.includes(arrived)));
    this.#ready = this.#ready.filter((arrived) => !gone.has(arrived));
    for (const { arrived } of included) arrived.settle?.done();
    for (const { arrived, why } of refused) {
      this.store.removeWaiting(arrived.hash);
      arrived.settle?.failed(why);
    }
  }

  async #write(
    moment: { readonly number: bigint; readonly timestamp: bigint },
    gasUsed: bigint,
    included: readonly { readonly arrived: Arrived; readonly result: RunTxResult }[],
  ): Promise<void> {
    const { common } = this.machine;
    const stateRoot = await this.machine.stateRoot();
    const header = createBlockHeader(
      {
        ...moment,
        parentHash: this.#head.hash,
        gasLimit: BLOCK_GAS_MAX,
        gasUsed,
        baseFeePerGas: 0n,
        stateRoot,
        transactionsTrie: await trieOf(included.map(({ arrived }) => arrived.tx.serialize())),
        receiptTrie: await trieOf(
          included.map(({ arrived, result }) => encodeReceipt(result.receipt, arrived.tx.type)),
        ),
        logsBloom: bloomOf(included.map(({ result }) => result.bloom.bitvector)),
      },
      { common },
    );
    const hash = bytesToHex(header.hash());
    const done: Done[] = included.map(({ arrived, result }) => ({ ...arrived, result }));
    const place = { number: moment.number, hash, timestamp: moment.timestamp };
    this.store.addBlock({
      number: Number(moment.number),
      hash,
      stateRoot,
      body: JSON.stringify(blockJson(header)),
      ...transactionRows(place, done),
    });
    this.#head = { ...moment, stateRoot, hash };
  }

  /** Time never runs backwards, whatever the clock does. */
  #time(): bigint {
    const now = BigInt(Math.floor(this.#now()));
    return now > this.#head.timestamp ? now : this.#head.timestamp;
  }
}

function headOf(store: ChainStore): Moment & { readonly hash: Hex } {
  const { number, stateRoot, body } = defined(store.head(), "a chain has a first block");
  const { hash, timestamp } = JSON.parse(body) as { hash: Hex; timestamp: Hex };
  return {
    number: BigInt(number),
    timestamp: BigInt(timestamp),
    stateRoot: stateRoot as Hex,
    hash,
  };
}

function hashOf(store: ChainStore, block: number): Hex {
  const found = store.block(block);
  return found ? (JSON.parse(found.body) as { hash: Hex }).hash : NO_HASH;
}

function genesis(now: number) {
  const common = chainRules(1);
  const header = createBlockHeader(
    {
      number: 0n,
      timestamp: BigInt(Math.floor(now)),
      gasLimit: BLOCK_GAS_MAX,
      baseFeePerGas: 0n,
      stateRoot: EMPTY_ROOT,
    },
    { common },
  );
  const hash = bytesToHex(header.hash());
  const body = JSON.stringify(blockJson(header));
  return { number: 0, hash, stateRoot: EMPTY_ROOT, body, transactions: [], logs: [] };
}

/** Root over values at their places, as in a block's header. */
async function trieOf(values: readonly Uint8Array[]): Promise<Uint8Array> {
  const trie = await createMPT();
  for (const [place, value] of values.entries()) await trie.put(RLP.encode(place), value);
  return trie.root();
}

function bloomOf(vectors: readonly Uint8Array[]): Uint8Array {
  const bloom = new Uint8Array(256);
  for (const vector of vectors) {
    for (const [i, byte] of vector.entries()) bloom[i] = (bloom[i] ?? 0) | byte;
  }
  return bloom;
}
